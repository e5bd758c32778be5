"""A small Foyer in memory: just the routes the client speaks, and told beforehand where to misbehave."""

import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

Script = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]
Canned = Callable[[web.Request], web.Response]


def problem(status: int, code: str, **headers: str) -> web.Response:
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": f"it is {code}",
            "request_id": "r1", "errors": [{"field": "title", "code": "too_long", "message": "m"}]}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


def drop(request: web.Request) -> web.Response:
    """Hangs up without an answer."""
    request.transport.close()
    return web.Response()


class FakeServer:
    """The server's state; `canned` are answers to give first, `scripts` what the next sockets do."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tokens: dict[str, str] = {}
        self.refreshing: dict[str, str] = {}
        self.posts: list[dict[str, Any]] = []
        self.likes: defaultdict[int, list[str]] = defaultdict(list)
        self.events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.acked: defaultdict[str, int] = defaultdict(int)
        self.canned: defaultdict[str, deque[Canned]] = defaultdict(deque)
        self.scripts: deque[Script] = deque()
        self.auths: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.kept: dict[str, bytes] = {}
        self.lifetime = 900.0
        self.page = 2
        self.enrich = "found"
        self.epoch = "e1"

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.answer_first])
        app.add_routes([
            web.post("/api/signup", self.sign_up), web.post("/api/login", self.login),
            web.post("/api/token/refresh", self.refresh), web.post("/api/logout", self.logout),
            web.get("/api/me", self.me), web.get("/api/me/enrichment", self.enrichment),
            web.post("/api/posts", self.create), web.get("/api/posts", self.list_posts),
            web.get("/api/posts/{id}", self.one_post), web.put("/api/posts/{id}/like", self.like),
            web.delete("/api/posts/{id}/like", self.unlike), web.get("/api/posts/{id}/likes", self.likers),
            web.get("/api/events", self.list_events), web.get("/ws", self.socket),
        ])
        return app

    async def start(self) -> TestServer:
        server = TestServer(self.app())
        await server.start_server()
        return server

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)

    @web.middleware
    async def answer_first(self, request: web.Request, handler: Any) -> web.StreamResponse:
        call = f"{request.method} {request.path}"
        self.calls.append((call, dict(request.headers)))
        self.urls.append(str(request.url))
        if self.canned[call]:
            return self.canned[call].popleft()(request)
        key = request.headers.get("Idempotency-Key")
        if key in self.kept:
            return web.Response(body=self.kept[key], status=201, content_type="application/json")
        answer: web.StreamResponse = await handler(request)
        if key and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            self.kept[key] = answer.body
        return answer

    # Accounts

    def pair(self, name: str) -> dict[str, Any]:
        number = len(self.tokens) + 1
        self.tokens[f"access{number}"] = name
        self.refreshing[f"refresh{number}"] = name
        expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=self.lifetime)
        return {"access_token": f"access{number}", "refresh_token": f"refresh{number}",
                "expires_at": expires.isoformat().replace("+00:00", "Z")}

    def profile(self, name: str) -> dict[str, Any]:
        return {"id": self.names.index(name) + 1, "username": name, "email": f"{name}@example.org",
                "enrichment": {"status": self.enrich, "fields": {}}}

    def who(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            refused = problem(401, "bad_token")
            raise web.HTTPUnauthorized(text=refused.text, content_type="application/problem+json")
        return self.tokens[token]

    async def sign_up(self, request: web.Request) -> web.Response:
        name = (await request.json())["username"]
        self.names.append(name)
        if self.enrich in ("found", "failed"):
            self.add_event(name, "enriched", {"status": self.enrich})
        answer = {"user": self.profile(name), "referral": {"status": "none"}, **self.pair(name)}
        return web.json_response({"data": answer}, status=201)

    async def login(self, request: web.Request) -> web.Response:
        name = (await request.json())["username"]
        return web.json_response({"data": {"user": self.profile(name), **self.pair(name)}})

    async def refresh(self, request: web.Request) -> web.Response:
        name = self.refreshing.pop((await request.json())["refresh_token"], None)
        return problem(401, "token_reused") if name is None else web.json_response({"data": self.pair(name)})

    async def logout(self, request: web.Request) -> web.Response:
        self.who(request)
        self.tokens.clear()
        return web.Response(status=204)

    async def me(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self.profile(self.who(request))})

    async def enrichment(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self.profile(self.who(request))["enrichment"]})

    # Posts

    def shown(self, post: dict[str, Any]) -> dict[str, Any]:
        return {**post, "like_count": len(self.likes[post["id"]])}

    async def create(self, request: web.Request) -> web.Response:
        name = self.who(request)
        post = {"id": len(self.posts) + 1, "author": {"id": 1, "username": name}, **await request.json()}
        self.posts.append(post)
        return web.json_response({"data": self.shown(post)}, status=201)

    def paged(self, request: web.Request, items: list[Any]) -> web.Response:
        start = int(request.query.get("cursor", 0))
        end = start + min(self.page, int(request.query["limit"]))
        return web.json_response({"data": items[start:end], "next": str(end) if end < len(items) else None})

    async def list_posts(self, request: web.Request) -> web.Response:
        author = request.query.get("author")
        fit = [self.shown(post) for post in self.posts if author in (None, post["author"]["username"])]
        return self.paged(request, fit[::-1])

    async def one_post(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self.shown(self.posts[int(request.match_info["id"]) - 1])})

    async def like(self, request: web.Request) -> web.Response:
        name, post_id = self.who(request), int(request.match_info["id"])
        if name not in self.likes[post_id]:
            self.likes[post_id].append(name)
        return await self.one_post(request)

    async def unlike(self, request: web.Request) -> web.Response:
        name, post_id = self.who(request), int(request.match_info["id"])
        self.likes[post_id] = [other for other in self.likes[post_id] if other != name]
        return await self.one_post(request)

    async def likers(self, request: web.Request) -> web.Response:
        names = self.likes[int(request.match_info["id"])]
        return self.paged(request, [{"username": name} for name in names[::-1]])

    # Events

    def add_event(self, name: str, kind: str, data: dict[str, Any]) -> None:
        self.events[name].append({"type": kind, "seq": len(self.events[name]) + 1,
                                  "at": "2026-11-21T10:00:00.000Z", "data": data})

    async def list_events(self, request: web.Request) -> web.Response:
        events = self.events[self.who(request)]
        after = int(request.query["after"])
        return web.json_response({"data": [event for event in events if event["seq"] > after], "gap": None})

    async def socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        auth = await socket.receive_json()
        self.auths.append(auth)
        if self.scripts:
            await self.scripts.popleft()(socket, auth)
        elif auth["token"] not in self.tokens:
            await socket.close(code=4401)
        else:
            await self.stream(socket, auth, self.tokens[auth["token"]])
        return socket

    async def stream(self, socket: web.WebSocketResponse, auth: dict[str, Any], name: str) -> None:
        await self.ready(socket, len(self.events[name]))
        after = auth.get("after", self.acked[name])
        for event in self.events[name][after:]:
            await socket.send_json(event)
        await self.hear(socket, name)

    async def ready(self, socket: web.WebSocketResponse, seq: int = 0) -> None:
        await socket.send_json({"type": "ready", "user": {"id": 1, "username": "ada"}, "seq": seq,
                                "epoch": self.epoch})

    async def hear(self, socket: web.WebSocketResponse, name: str) -> None:
        """Takes acknowledgements and further auth frames until the client hangs up."""
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            frame = json.loads(message.data)
            if frame["type"] == "auth":
                self.auths.append(frame)
                await self.ready(socket)
            else:
                self.acked[name] = frame["seq"]
