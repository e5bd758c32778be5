"""The AsyncAPI 3 document of the socket and the event stream, made from the declared frames and events."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from server.events import EventType
from ws import protocol
from ws.protocol import CLIENT_FRAMES, REASONS, SOCKET_FRAMES, STREAM_FRAMES
from ws.sse import MEDIA

Document = dict[str, Any]
Frame = type[msgspec.Struct]
SCHEMAS = "#/components/schemas/{name}"
ABOUT = ("What a member is told the moment it is known: everything behind a number, in order, then live. Numbers count "
         "1, 2, 3 ... per member; an event is kept until it is acknowledged, 30 days at most. De-duplicate by `seq`.")
SOCKET = ("Text frames, one JSON object each, at most {size} KiB from the client. The token comes in the "
          "`Authorization` header of the upgrade or in the first frame, within {auth:g} s; never in the URL. The "
          "`Origin` of a browser must be the server's own or in `cors.origins`. The server pings (RFC 6455) every "
          "{beat:g} s and gives a frame {send:g} s to leave. Without `after` the stream begins behind the last "
          "acknowledged number.")
STREAM = ("Server-sent events: `id` is the number, `event` the type, `data` the whole frame. `Last-Event-ID` is where "
          "to go on; without it, and without the query's `after`, behind the last acknowledged number. A comment every "
          "{beat:g} s. Acknowledge with POST /api/events/ack.")
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
          "description": "The access token of a sign-up, a login or a refresh."}


def document(events: Sequence[EventType], public_url: str, version: str) -> Document:
    """The whole document. `public_url`: where the outside sees the server."""
    told = [_as_frame(event) for event in events]
    frames = _once([*CLIENT_FRAMES, *SOCKET_FRAMES, *STREAM_FRAMES, *told])
    references, schemas = msgspec.json.schema_components(frames, ref_template=SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Foyer", "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": _servers(public_url),
        "channels": {"socket": _socket([*CLIENT_FRAMES, *SOCKET_FRAMES, *told]),
                     "stream": _stream([*STREAM_FRAMES, *told])},
        "operations": _operations(told),
        "components": {
            "schemas": schemas,
            "messages": {_name(frame): _message(frame, reference) for frame, reference in zip(frames, references)},
            "securitySchemes": {"bearer": BEARER},
        },
    }


def _once(frames: Iterable[Frame]) -> list[Frame]:
    return list(dict.fromkeys(frames))


def _as_frame(event: EventType) -> Frame:
    """The type of an event's frame."""
    name = "".join(word.capitalize() for word in event.name.split("_")) + "Frame"
    made = msgspec.defstruct(name, [("data", event.data)], bases=(protocol.Event,), tag=event.name)
    made.__doc__ = event.says
    return made


def _servers(public_url: str) -> Document:
    url = urlsplit(public_url)
    secure = "s" if url.scheme == "https" else ""
    return {
        "socket": {"host": url.netloc, "protocol": f"ws{secure}", "description": "For channel `socket`."},
        "stream": {"host": url.netloc, "protocol": f"http{secure}", "description": "For channel `stream`.",
                   "security": [{"$ref": "#/components/securitySchemes/bearer"}]},
    }


def _socket(frames: Iterable[Frame]) -> Document:
    about = SOCKET.format(size=protocol.MAX_FRAME // 1024, auth=protocol.AUTH_SECONDS, beat=protocol.HEARTBEAT,
                          send=protocol.SEND_SECONDS)
    token = {"type": "string", "description": "Bearer and an access token; without it the first frame is `auth`."}
    return {
        "address": "/ws",
        "title": "The socket",
        "description": about,
        "servers": [{"$ref": "#/servers/socket"}],
        "messages": _references(frames),
        "bindings": {"ws": {"method": "GET", "headers": {"type": "object", "properties": {"Authorization": token}}}},
        "x-close-codes": {str(code): reason for code, reason in REASONS.items()},
        "x-heartbeat-seconds": protocol.HEARTBEAT,
    }


def _stream(frames: Iterable[Frame]) -> Document:
    return {
        "address": "/api/events/stream",
        "title": "The event stream",
        "description": STREAM.format(beat=protocol.HEARTBEAT),
        "servers": [{"$ref": "#/servers/stream"}],
        "messages": _references(frames),
        "x-media-type": MEDIA,
        "x-keep-alive-seconds": protocol.HEARTBEAT,
    }


def _operations(told: Sequence[Frame]) -> Document:
    replies: dict[Frame, Frame] = {protocol.Auth: protocol.Ready, protocol.Ping: protocol.Pong}
    return {
        **{_name(frame): _receives(frame, replies.get(frame)) for frame in CLIENT_FRAMES},
        "tell": _sends("socket", [protocol.Ready, protocol.Gap, *told]),
        "stream": _sends("stream", [*STREAM_FRAMES, *told]),
    }


def _receives(frame: Frame, reply: Frame | None) -> Document:
    made: Document = {"action": "receive", "summary": frame.__doc__, "channel": {"$ref": "#/channels/socket"},
                      "messages": _listed("socket", [frame])}
    if reply is not None:
        made["reply"] = {"channel": {"$ref": "#/channels/socket"}, "messages": _listed("socket", [reply])}
    return made


def _sends(channel: str, frames: Iterable[Frame]) -> Document:
    return {"action": "send", "summary": "What the member is told.", "channel": {"$ref": f"#/channels/{channel}"},
            "messages": _listed(channel, frames)}


def _listed(channel: str, frames: Iterable[Frame]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{_name(frame)}"} for frame in frames]


def _references(frames: Iterable[Frame]) -> Document:
    return {_name(frame): {"$ref": f"#/components/messages/{_name(frame)}"} for frame in frames}


def _message(frame: Frame, reference: Document) -> Document:
    name = _name(frame)
    return {"name": name, "title": name, "summary": frame.__doc__, "payload": reference}


def _name(frame: Frame) -> str:
    return str(frame.__struct_config__.tag)
