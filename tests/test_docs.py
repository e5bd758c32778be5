"""The documentation says what is there: its examples run, and what it lists is complete."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.core.errors import CODES
from server.settings import SECTIONS
from tests.support import Served
from ws import protocol

ROOT = Path(__file__).resolve().parents[1]
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text(encoding="utf-8")


async def test_the_python_example_runs(server: Served, tmp_path: Path) -> None:
    import asyncio
    code = re.search(r"```python\n(.*?)```", DOCS["socket.md"], re.DOTALL)
    assert code
    (tmp_path / "example.py").write_text(code[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "example.py"), server.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert out.decode().strip() == "enriched found", err.decode()


def test_every_close_code_is_described() -> None:
    for code in protocol.REASONS:
        assert f"| {code} |" in DOCS["socket.md"]


def test_every_event_type_is_described() -> None:
    source = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
    types = set(re.findall(r'_events\.append\([^"]*"(\w+)"', source))
    assert types == {"enriched", "email_verified", "post_liked"}
    assert all(f"| `{type_}` |" in DOCS["socket.md"] for type_ in types)


async def test_the_page_describes_every_error_and_route(server: Served) -> None:
    page = (await server.api.get("/docs")).raw.decode()
    assert all(f'id="error-{code}"' in page for code in CODES)
    assert all(route.path in page for route in server.foyer.routes)


async def test_every_metric_is_described(server: Served) -> None:
    text = (await server.api.get("/metrics")).raw.decode()
    names = set(re.findall(r"# TYPE (\w+)", text))
    assert names
    assert all(name in DOCS["operations.md"] for name in names)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", sorted(DOCS))
def test_settings_that_are_named_exist(name: str) -> None:
    from dataclasses import fields
    known = {f"{section}.{item.name}" for section, made in SECTIONS.items()
             for item in fields(made)}  # type: ignore[arg-type]
    for section, key in re.findall(r"`(\w+)\.(\w+)(?: = [^`]*)?`", DOCS[name]):
        if section in SECTIONS and key not in ("py",):
            assert f"{section}.{key}" in known, f"{name}: {section}.{key}"
