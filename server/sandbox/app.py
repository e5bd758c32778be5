"""The sandbox: all stand-ins on one port, the mail server's beside it, and the switches that tell them what to play.

`PUT /_switch/<provider>` sets what is played, `GET` shows it and all that could be, `DELETE` goes back to the usual.
`GET /_calls/<provider>` counts calls, with `?email=` those about one address.
"""
from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from server.sandbox.clearbit import Clearbit
from server.sandbox.gravatar import Gravatar
from server.sandbox.hunter import Hunter
from server.sandbox.mail import Mail
from server.sandbox.people import normalised
from server.sandbox.randomdata import RandomData
from server.sandbox.replies import json_response
from server.sandbox.stage import UnknownSwitch
from server.sandbox.stand_in import StandIn

_CLOSING = web.AppKey("closing", asyncio.Event)
_SECRETS = ("Authorization", "X-API-KEY")


class Sandbox:
    """A running sandbox: `url` is where it answers, `smtp_url` where it takes mail."""

    def __init__(self, runner: web.AppRunner, url: str, smtp_url: str) -> None:
        self._runner = runner
        self.url, self.smtp_url = url, smtp_url

    async def close(self) -> None:
        """Stops it; answers that are being held back are let go at once."""
        await self._runner.cleanup()


async def start(host: str = "127.0.0.1", port: int = 0) -> Sandbox:
    """Starts all stand-ins on one port; 0 picks a free one, `url` tells which. Mail arrives on another free one."""
    mail = Mail()
    app = make_app([*_over_http(), mail])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        smtp_url = await mail.listen(host)
    except OSError:
        await runner.cleanup()
        raise
    shown = f"[{host}]" if ":" in host else host
    return Sandbox(runner, f"http://{shown}:{runner.addresses[0][1]}", smtp_url)


def make_app(stand_ins: Iterable[StandIn] | None = None) -> web.Application:
    """The application with every stand-in under its own path."""
    app = web.Application()
    app[_CLOSING] = closing = asyncio.Event()
    app.on_shutdown.append(_let_go)
    controls = _Controls({each.name: each for each in stand_ins or [*_over_http(), Mail()]})
    controls.add_routes(app)
    for name, stand_in in controls.stand_ins.items():
        app.add_subapp(f"/{name}", stand_in.app(closing))
    return app


def _over_http() -> list[StandIn]:
    return [Hunter(), Clearbit(), Gravatar(), RandomData()]


async def _let_go(app: web.Application) -> None:
    app[_CLOSING].set()


class _Controls:
    """The routes that are the sandbox's own."""

    def __init__(self, stand_ins: dict[str, StandIn]) -> None:
        self.stand_ins = stand_ins
        self._elsewhere = {"total": 0, "with_key": 0}

    def add_routes(self, app: web.Application) -> None:
        app.router.add_put("/_switch/{provider}", self._set)
        app.router.add_get("/_switch/{provider}", self._show)
        app.router.add_delete("/_switch/{provider}", self._reset)
        app.router.add_get("/_calls/{provider}", self._calls)
        app.router.add_get("/_elsewhere", self._arrived)

    async def _set(self, request: web.Request) -> web.Response:
        stand_in = self._named(request)
        if stand_in is None:
            return self._unknown()
        try:
            stand_in.stage.set(await request.json())
        except ValueError:  # not JSON, or not even UTF-8
            return json_response({"error": "the switch is a JSON object", "known": []}, 400)
        except UnknownSwitch as error:
            return json_response({"error": str(error), "known": error.known}, 400)
        return json_response(stand_in.stage.show())

    async def _show(self, request: web.Request) -> web.Response:
        stand_in = self._named(request)
        return self._unknown() if stand_in is None else json_response(stand_in.stage.show())

    async def _reset(self, request: web.Request) -> web.Response:
        stand_in = self._named(request)
        if stand_in is None:
            return self._unknown()
        stand_in.stage.reset()
        return json_response(stand_in.stage.show())

    async def _calls(self, request: web.Request) -> web.Response:
        if request.match_info["provider"] == "elsewhere":
            return json_response(self._elsewhere)
        stand_in = self._named(request)
        if stand_in is None:
            return self._unknown()
        email = request.query.get("email")
        return json_response(stand_in.stage.calls(None if email is None else normalised(email)))

    async def _arrived(self, request: web.Request) -> web.Response:
        """Where the `redirect` position leads: a client that follows it is counted, and worse if it brings a key."""
        self._elsewhere["total"] += 1
        self._elsewhere["with_key"] += any(name in request.headers for name in _SECRETS)
        return json_response({"data": {"status": "valid"}})

    def _named(self, request: web.Request) -> StandIn | None:
        return self.stand_ins.get(request.match_info["provider"])

    def _unknown(self) -> web.Response:
        return json_response({"error": "no such provider", "known": list(self.stand_ins)}, 400)
