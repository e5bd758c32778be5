"""The README's first command as a newcomer pastes it; the second one is what runs this suite (see .ci/run)."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.readme_commands import README, commands


def _clone(target: Path) -> None:
    """What git would give a newcomer now: every tracked or new file, nothing that is ignored."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=README.parent,
                            check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source = README.parent / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


@pytest.mark.readme
def test_the_first_command_shows_the_bot_and_its_proof(tmp_path: Path) -> None:
    _clone(tmp_path)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FOYER_", "VIRTUAL_ENV"))}
    done = subprocess.run(["bash", "-c", commands()["run"]], cwd=tmp_path, env=environ, capture_output=True, text=True,
                          timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "found 10" in done.stdout
    assert "every rule was kept" in done.stdout
    picture = README.read_text(encoding="utf-8").split("```text\n")[1].split("...")[0]
    assert {line[:9] for line in picture.splitlines() if line.strip()} <= {
        line[:9] for line in done.stdout.splitlines()}, "the picture is not what is seen"


def test_it_is_one_screen() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 65


def test_the_commands_are_the_ones_that_ci_runs() -> None:
    given = commands()
    assert given["run"].endswith("run.py bot config/bot.cfg")
    assert given["test"].endswith("-m pytest")
