"""What the pages are made of, read once: no path of a request reaches the file system."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from server.web import reply
from server.web.route import REQUEST_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FOLDER = Path(__file__).resolve().parents[1] / "static"
_CSS, _JS, _SVG = "text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml"
_SCRIPTS = ("admin", "adminrows", "api", "confirm", "dialogs", "feed", "files", "findings", "form", "login", "member",
            "onefile", "pages", "people", "person", "referrals", "reset", "rows", "schedules", "session", "signup",
            "statistics", "tabs", "words")
NAMES = ("signup", "login", "confirm", "reset", "feed", "files", "referrals", "people", "admin")  # of the pages
FILES = {"foyer.css": _CSS, "foyer.svg": _SVG, **{f"{name}.js": _JS for name in _SCRIPTS}}


def html(name: str) -> str:
    """The text of a page that is a file."""
    return (_FOLDER / f"{name}.html").read_text(encoding="utf-8")


def add_to(app: web.Application) -> None:
    """Adds every file under `/static/`."""
    for name, kind in FILES.items():
        app.router.add_get(f"/static/{name}", _handler((_FOLDER / name).read_bytes(), kind))


def _handler(content: bytes, kind: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return reply.response(content, 200, kind, request[REQUEST_ID], {"Cache-Control": "max-age=300"})
    return handle
