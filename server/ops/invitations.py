"""/signup: the page with the form, which remembers by whose code somebody came."""
from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from server.referrals.remembered import COOKIE, SECONDS, Remembered
from server.web import reply
from server.web.route import REQUEST_ID

_CODE = re.compile(r"[!-~]{1,64}")


class SignUpPage:
    """Who comes by a link with a code, looks around and comes back without it, is led to the link again."""

    def __init__(self, html: str, remembered: Remembered, secure: bool) -> None:
        self._html, self._remembered, self._secure = html, remembered, secure

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /signup."""
        if "ref" in request.query:
            return self._page(request, request.query["ref"])
        code = self._remembered.code(request.cookies.get(COOKIE))
        if code is None:
            return self._page(request, "")
        return reply.response(None, 302, "", request[REQUEST_ID], {"Location": f"/signup?ref={quote(code, safe='')}"})

    def _page(self, request: web.Request, code: str) -> web.Response:
        made = reply.page(self._html, request[REQUEST_ID])
        value = self._remembered.value(code) if _CODE.fullmatch(code) else ""
        if value:
            made.set_cookie(COOKIE, value, max_age=SECONDS, path="/", httponly=True, samesite="Lax",
                            secure=self._secure)
        return made
