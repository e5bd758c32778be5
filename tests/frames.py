"""The judge of frames: what a server tells a test is valid against the AsyncAPI document, or the test fails.

It hears every socket of aiohttp's client that was opened to Foyer (`hear_sockets`), the tests' own clients hand over
what they read, and a fixture for all tests fails the one in which a wrong frame came, even if nobody saw the complaint.
"""
from __future__ import annotations

import json
from functools import cache
from typing import Any

import aiohttp
import jsonschema_rs

from server.app import EVENTS, VERSION
from ws import asyncapi

wrong: list[str] = []  # what was complained of in this test
CLIENTS_OWN = {1000}  # a client that closes hears its own code again


class WrongFrame(AssertionError):
    """The document does not allow this."""


@cache
def document() -> Any:
    """The document, a little stricter: a field that it does not list is wrong, too."""
    made = json.loads(json.dumps(asyncapi.document(EVENTS, "http://127.0.0.1:8080", VERSION)))
    for schema in made["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return made


def resolve(document: Any, reference: str) -> Any:
    """What a reference leads to, through others that stand there."""
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return resolve(document, found["$ref"]) if set(found) == {"$ref"} and "/schemas/" not in found["$ref"] else found


@cache
def _sent(channel: str) -> dict[str, jsonschema_rs.Draft7Validator]:
    """The messages that the server sends on a channel, by name."""
    told = document()
    references = []
    for operation in told["operations"].values():
        told_by = operation if operation["action"] == "send" else operation.get("reply", {})
        references += [each["$ref"] for each in told_by.get("messages", ())]
    messages = [resolve(told, reference) for reference in references if f"/{channel}/" in reference]
    return {message["name"]: _validator(message["payload"]) for message in messages}


def _validator(schema: Any) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator({"allOf": [schema], "components": document()["components"]})


def judge(text: str | bytes, channel: str = "socket") -> None:
    """Raises `WrongFrame` for what the server may not send on the channel."""
    try:
        frame = json.loads(text)
        _sent(channel)[frame["type"]].validate(frame)
    except (ValueError, KeyError, TypeError) as error:  # jsonschema_rs raises a ValueError
        _complain(f"{error}: {text[:500]!r}")


def judge_page(page: Any) -> None:
    """Judges the events of an answer to GET /api/events."""
    for event in page["data"]:
        judge(json.dumps(event))


def judge_code(code: int | None) -> None:
    """Raises `WrongFrame` for a close code that is not declared."""
    declared = document()["channels"]["socket"]["x-close-codes"]
    if str(code) not in declared and code not in CLIENTS_OWN:
        _complain(f"the close code {code}")


def _complain(what: str) -> None:
    wrong.append(what)
    raise WrongFrame(what)


def hear_sockets() -> None:
    """From now on every message that comes over a client's socket from Foyer is judged."""
    receive = aiohttp.ClientWebSocketResponse.receive

    async def judged(socket: aiohttp.ClientWebSocketResponse, timeout: float | None = None) -> aiohttp.WSMessage:
        message = await receive(socket, timeout)
        if socket._response.headers.get("Server") == "Foyer":
            _judge_message(message)
        return message
    aiohttp.ClientWebSocketResponse.receive = judged  # type: ignore[method-assign]


def _judge_message(message: aiohttp.WSMessage) -> None:
    if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        judge(message.data)
    elif message.type is aiohttp.WSMsgType.CLOSE:
        judge_code(message.data)
