"""Judge 1: schemathesis over the OpenAPI document of a running server, in all its phases and with all its checks.

What it is told, and each thing that it is told to let pass, stands in `schemathesis.toml` and `schemathesis_hooks.py`.
"""
from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.admin.test_lists import job
from tests.conftest import Serve
from tests.people import stored
from tests.support import Served
from tests.web.administrators import administrator
from tests.web.hostile import upload

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = int(os.environ.get("FOYER_TEST_SEED", "1843"))
CASES = 5000
SECONDS = 300
EACH, TOGETHER = "examples,coverage,fuzzing", "stateful"
QUICK = {"limits.enabled": "no", "database.durability": "normal", "checks.files_per_member": "100000"}

# Operations that never succeed here; they are tried all the same.
WITHOUT_SUCCESS = {
    "POST /api/me/enrichment": "Once an hour, and the sign-up's own counts.",
}


@dataclass
class Verdict:
    """What the runs in somebody's name said, taken together."""

    cases: int = 0
    said: list[str] = field(default_factory=list)
    failed: bool = False
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def succeeded(self, operation: str) -> bool:
        """Whether the operation was ever carried out."""
        return any(status.startswith("2") for status in self.answers[operation])


async def _run(verdict: Verdict, server: Served, folder: Path, who: str, phases: str, seed: int, examples: int) -> None:
    told, document = folder / "answers.json", folder / "openapi.json"
    # From a file: of a document that it fetches, schemathesis leaves the route out that serves it.
    document.write_bytes((await server.api.get("/api/openapi.json")).raw)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG), "run", str(document),
        "--url", server.url, "--phases", phases, "--seed", str(seed), "--max-examples", str(examples),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8",
             "SCHEMATHESIS_HOOKS": "tests.judges.schemathesis_hooks", "FOYER_JUDGED": server.url,
             "FOYER_JUDGED_SINK": f"{server.sandbox}/mail",
             "FOYER_JUDGE_IS": who, "FOYER_JUDGE_ANSWERS": str(told)})
    try:
        said = (await asyncio.wait_for(process.communicate(), SECONDS))[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    generated = re.search(r"^ +(\d+) generated", said, re.MULTILINE)
    assert generated, said
    verdict.cases += int(generated[1])
    verdict.said.append(said)
    verdict.failed |= process.returncode != 0
    for operation, found in json.loads(told.read_text()).items():
        verdict.answers.setdefault(operation, Counter()).update(found)


async def _serve(serve: Serve, folder: Path) -> Served:
    """A server with the member of the document's examples, who may do everything, a neighbour, posts to like, to
    change and to delete, files to replace, to check and to delete, people to read and to delete, and jobs that have
    failed."""
    folder.mkdir()
    server = await serve(QUICK, folder)
    grace, ada = await server.api.sign_up("grace"), await administrator(server, "ada")
    for member in (grace, grace, ada, ada):
        await server.api.write_post(member["access_token"])
    for _ in range(2):
        await upload(server.api, ada["access_token"])
    await stored.some(server)
    for number in range(50):
        await job(server, "check_files", f"failed {number}", "failed", "it broke")
    return server


async def _each(verdict: Verdict, serve: Serve, folder: Path, who: str, examples: int) -> None:
    """Each operation by itself."""
    await _run(verdict, await _serve(serve, folder), folder, who, EACH, SEED, examples)


async def _together(verdict: Verdict, serve: Serve, folder: Path, who: str, least: int) -> None:
    """Operations one after the other, along the links. Hypothesis ends such a run early when the server answers a
    repeated step in another way than before, as it must; so there are several."""
    server, wanted = await _serve(serve, folder), verdict.cases + least
    for seed in range(SEED, SEED + 8):
        if verdict.cases < wanted:
            await _run(verdict, server, folder, who, TOGETHER, seed, 100)


@pytest.mark.long
async def test_it_finds_no_failure(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hooks wait for every letter.
    monkeypatch.setattr("server.accounts.recovery.SOONEST", 1)
    monkeypatch.setattr("server.accounts.recovery.LATEST", 5)
    each, together, stranger = Verdict(), Verdict(), Verdict()

    async def in_turn() -> None:
        await _together(together, serve, tmp_path / "together", "member", 500)
        await _each(stranger, serve, tmp_path / "stranger", "nobody", 15)
        await _together(stranger, serve, tmp_path / "strangers", "nobody", 50)
    await asyncio.gather(_each(each, serve, tmp_path / "each", "member", 60), in_turn())

    for verdict in (each, together, stranger):
        assert not verdict.failed, "\n".join(verdict.said)
    assert each.cases + together.cases + stranger.cases >= CASES
    server = await serve(QUICK)
    for route in server.foyer.routes:
        alive = each.succeeded(route.key) or (route.key in together.answers and together.succeeded(route.key))
        assert alive == (route.key not in WITHOUT_SUCCESS), (route.key, each.answers[route.key])
        assert stranger.succeeded(route.key) == (route.who in ("open", "anyone")), route.key
