"""The AsyncAPI document: it is one, its parts fit together, and it says what the server does."""
from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from server.app import EVENTS, VERSION
from tests import frames
from tests.frames import WrongFrame, resolve
from tests.support import Api, Served, close_code, frame
from tests.ws.event_source import listening
from tests.ws.support import many, opened
from ws import asyncapi, protocol

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its classes have fields that pydantic finds badly named
    from asyncapi3 import AsyncAPI3

ROOT = Path(__file__).resolve().parents[2]
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.fixture
def document() -> Any:
    return json.loads(json.dumps(asyncapi.document(EVENTS, "https://foyer.example", VERSION)))


def references(part: Any) -> Iterator[str]:
    """Every reference in a part of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


# -- it is what the specification asks for


def test_others_take_it_for_an_asyncapi_document(document: Any) -> None:
    AsyncAPI3.model_validate(document)


BROKEN: dict[str, Callable[[Any], Any]] = {
    "a field that nobody knows": lambda told: told["channels"]["socket"].update(adress="/ws"),
    "an action that nobody knows": lambda told: told["operations"]["tell"].update(action="publish"),
    "a server without a host": lambda told: told["servers"]["socket"].pop("host"),
    "no version": lambda told: told["info"].pop("version"),
    "a kind of key that nobody knows": lambda told: told["components"]["securitySchemes"]["bearer"].update(type="x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_others_would_not_take_anything(name: str, document: Any) -> None:
    BROKEN[name](document)
    with pytest.raises(ValueError):
        AsyncAPI3.model_validate(document)


def test_every_reference_leads_somewhere_and_nothing_stands_there_for_nobody(document: Any) -> None:
    found = set(references(document))
    for reference in found:
        assert resolve(document, reference), reference
    for kind in ("schemas", "messages", "securitySchemes"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in found, name


def test_every_schema_is_one(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": DRAFT_7, **schema})
        assert schema["title"] == name


def test_operations_speak_of_messages_of_their_channel_and_of_all_of_them(document: Any) -> None:
    spoken: dict[str, set[str]] = {name: set() for name in document["channels"]}
    for operation in document["operations"].values():
        for told in (operation, operation.get("reply", operation)):
            channel = told["channel"]["$ref"].removeprefix("#/channels/")
            for reference in told["messages"]:
                assert reference["$ref"].startswith(f"#/channels/{channel}/messages/")
                spoken[channel].add(reference["$ref"].rpartition("/")[2])
    for name, channel in document["channels"].items():
        assert spoken[name] == set(channel["messages"])
        assert len(channel["servers"]) == 1


def test_no_frame_could_be_taken_for_another(document: Any) -> None:
    kinds = []
    for name, message in document["components"]["messages"].items():
        payload = resolve(document, message["payload"]["$ref"])
        assert payload["properties"]["type"] == {"enum": [name]} and "type" in payload["required"]
        assert message["name"] == name and message["summary"]
        kinds.append(payload["title"])
    assert len(set(kinds)) == len(kinds)


# -- it says what the server does


def test_all_that_is_declared_stands_in_it(document: Any) -> None:
    names = {str(each.__struct_config__.tag) for each in (
        *protocol.CLIENT_FRAMES, *protocol.SOCKET_FRAMES, *protocol.STREAM_FRAMES)}
    assert set(document["components"]["messages"]) == names | {event.name for event in EVENTS}
    assert {"auth", "resume", "ack", "ping", "ready", "gap", "pong", "end"} == names
    assert document["channels"]["socket"]["x-close-codes"] == {
        str(code): reason for code, reason in protocol.REASONS.items()}
    for event in EVENTS:
        data = resolve(document, document["components"]["messages"][event.name]["payload"]["$ref"])
        schema = resolve(document, data["properties"]["data"]["$ref"])
        assert set(schema["properties"]) == set(event.data.__struct_fields__)


async def test_what_clients_may_say_is_what_the_server_understands(document: Any) -> None:
    asked = {name: jsonschema_rs.Draft7Validator({**message["payload"], "components": document["components"]})
             for name, message in document["components"]["messages"].items()}
    for text in ('{"type":"auth","token":"x"}', '{"type":"auth","token":"x","after":7}', '{"type":"ping","x":1}',
                 '{"type":"resume","after":0}', '{"type":"ack","seq":9007199254740991}', '{"type":"ack","seq":-1}',
                 '{"type":"ack","seq":9007199254740992}', '{"type":"resume"}', '{"type":"auth","token":1}',
                 '{"type":"auth","token":"x","after":"7"}', '{"type":"ack","seq":"1"}'):
        try:
            understood = bool(protocol.parse(text))
        except protocol.BadFrame:
            understood = False
        assert asked[json.loads(text)["type"]].is_valid(json.loads(text)) == understood, text


async def test_where_the_server_is(served: Served, document: Any) -> None:
    assert {name: (server["protocol"], server["host"]) for name, server in document["servers"].items()} == {
        "socket": ("wss", "foyer.example"), "stream": ("https", "foyer.example")}
    answer = await served.api.get("/api/asyncapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.body["servers"]["socket"]
    assert (told["protocol"], told["host"]) == ("ws", f"127.0.0.1:{served.foyer.port}")
    socket = await served.api.session.ws_connect(f"ws://{told['host']}{answer.body['channels']['socket']['address']}")
    await socket.close()
    path = answer.body["channels"]["stream"]["address"]
    assert path in (await served.api.get("/api/openapi.json")).body["paths"]


async def test_the_page_leads_to_it(api: Api) -> None:
    for page in ("/", "/docs"):
        assert b'href="/api/asyncapi.json"' in (await api.get(page)).raw


# -- the judge of frames judges


WRONG = [
    "", "x", "[]", "{}", '{"type":"pong","x":1}', '{"type":"nothing"}', '{"type":"ping"}', '{"type":"gap","from":-1}',
    '{"type":"gap"}', '{"type":"end","code":4401,"reason":"x"}', '{"type":"pong"}{"type":"pong"}',
    '{"type":"email_verified","seq":1,"at":"2026-11-21T12:00:00.000Z","data":{"email_status":"pending"}}',
    '{"type":"email_verified","seq":1,"at":"2026-11-21T12:00:00.000Z","data":{}}',
    '{"type":"email_verified","seq":1,"at":"2026-11-21 12:00:00","data":{"email_status":"valid"}}',
    '{"type":"email_verified","seq":"1","at":"2026-11-21T12:00:00.000Z","data":{"email_status":"valid"}}',
    '{"type":"email_verified","at":"2026-11-21T12:00:00.000Z","data":{"email_status":"valid"}}',
    '{"type":"ready","user":{"id":1,"username":"ada","email":"ada@example.org"},"seq":1,"epoch":"x"}',
]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_frame_is_complained_of(text: str) -> None:
    with pytest.raises(WrongFrame):
        frames.judge(text)
    assert len(frames.wrong) == 1  # and so the test would fail even if it had not seen that
    frames.wrong.clear()


def test_a_right_frame_is_not() -> None:
    frames.judge('{"type":"email_verified","seq":1,"at":"2026-11-21T12:00:00.000Z","data":{"email_status":"valid"}}')
    frames.judge('{"type":"end","code":4401,"reason":"x"}', "stream")
    for code in (1000, 1001, 4401):
        frames.judge_code(code)
    with pytest.raises(WrongFrame):
        frames.judge_code(4999)
    frames.wrong.clear()


async def test_a_server_that_says_something_else_fails_the_test_on_a_socket(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PONG", '{"type":"pong","now":1}')
    socket = await opened(served, session, after=1)
    await socket.send_json({"type": "ping"})
    with pytest.raises(WrongFrame):
        await frame(socket, "pong")
    await many(served, session, 1)
    await frame(socket, "post_liked")
    served.foyer.hub.session_ended(served.foyer.hub._by_session.copy().popitem()[0])
    assert await close_code(socket) == 4401
    assert len(frames.wrong) == 1
    frames.wrong.clear()


async def test_a_server_that_says_something_else_fails_the_test_on_a_stream(served: Served, session: Any) -> None:
    async with listening(served, session, 1) as source:
        await served.foyer.database.write(served.foyer.events.append, session["user"]["id"], "post_liked", "{}")
        with pytest.raises(WrongFrame, match="post_id"):
            await source.next()
    frames.wrong.clear()


async def test_a_page_of_events_is_judged_too(served: Served, session: Any) -> None:
    await served.foyer.database.write(served.foyer.events.append, session["user"]["id"], "nothing_known", "{}")
    with pytest.raises(WrongFrame):
        await served.api.get("/api/events", token=session["access_token"])
    frames.wrong.clear()


SWALLOWED = """
from tests import frames

def test_it():
    try:
        frames.judge("{}")
    except AssertionError:
        pass
"""


async def test_who_swallows_the_complaint_fails_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SWALLOWED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "setup.cfg"), "--rootdir", str(ROOT),
        "-p", "tests.conftest", str(tmp_path / "test_it.py"), cwd=ROOT, stdout=subprocess.PIPE)
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert process.returncode == 1 and "1 passed, 1 error" in said, said
