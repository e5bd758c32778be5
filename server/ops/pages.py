"""The pages for people: what this is, the API made readable, and forms that use it. Nothing from another host."""
from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from aiohttp import web

from server.core.errors import CODES
from server.ops import static_files
from server.ops.invitations import SignUpPage
from server.ops.static_files import Handler
from server.referrals.remembered import Remembered
from server.web import reply
from server.web.route import REQUEST_ID


def _page(title: str, body: str) -> str:
    return ("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{escape(title)}</title>\n<link rel=\"icon\" href=\"/static/foyer.svg\" type=\"image/svg+xml\">\n"
            "<link rel=\"stylesheet\" href=\"/static/foyer.css\">\n</head>\n"
            f"<body>\n{body}\n</body>\n</html>\n")


def in_words(stand_ins: Iterable[str]) -> str:
    """`Hunter, Clearbit and Gravatar`."""
    *first, last = [name.capitalize() for name in stand_ins] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def home(stand_ins: Iterable[str]) -> str:
    """The first page."""
    names = in_words(stand_ins)
    told = (f'<p class="notice" id="stand-ins">Stand-ins are in use for {escape(names)}: no outside service is asked, '
            "and the people it finds are invented. Set their keys to ask the real ones.</p>" if names else
            '<p class="soft" id="stand-ins">No stand-ins are in use: outside services are the real ones.</p>')
    return _page("Foyer", f"""
<h1>Foyer</h1>
<p class="soft">A self-hosted members' community in one Python process.</p>
<p>Members sign up and are answered at once. Whether their address is real and who they are is found out in the
background, and told to them over one WebSocket the moment it is known. That message is never lost: not in a crash, not
on a reconnect.</p>
<p><a href="/signup">Sign up</a>, <a href="/login">sign in</a>, or choose <a href="/reset">a new password</a>.
Members have <a href="/feed">a feed</a>, <a href="/files">files</a> that are checked by flake8,
<a href="/referrals">referrals</a> and <a href="/people">people</a> who are imported on schedule. Administrators have
<a href="/admin">a page of their own</a>.</p>
{told}
<ul>
<li><a href="/docs">The API, readable</a> (and as <a href="/api/openapi.json">OpenAPI 3.1</a>,
the socket as <a href="/api/asyncapi.json">AsyncAPI 3.0</a>)</li>
<li><a href="/api/posts">The feed as JSON</a></li>
<li><a href="/readyz">How this server is</a></li>
</ul>""")


def docs(document: dict[str, Any]) -> str:
    """The OpenAPI document as a page."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation, document))
    parts = [f"<h2>{escape(tag)}</h2>\n" + "\n".join(rows) for tag, rows in groups.items()]
    return _page("Foyer: the API", f"""
<p><a href="/">Foyer</a></p>
<h1>The API</h1>
<p class="soft">{escape(document["info"]["description"])} Times are ISO 8601 in UTC, ids integers below 2<sup>53</sup>.
Send <code>Authorization: Bearer &lt;access token&gt;</code> where a token is needed. Events come over
<code>/ws</code>, see <a href="#socket">the socket</a>.</p>
{"".join(parts)}
{_SOCKET}
{_errors()}""")


_SOCKET = """
<h2 id="socket">The socket: /ws</h2>
<p>Text frames, one JSON object each. Send <code>{"type":"auth","token":"...","after":7}</code> within 10 seconds, or
the token in the <code>Authorization</code> header; never in the URL. The server answers
<code>{"type":"ready","user":{...},"seq":9,"epoch":"..."}</code> and sends every event behind <code>after</code> in
order, then live: <code>{"type":"enriched","seq":8,"at":"...","data":{...}}</code>. Acknowledge with
<code>{"type":"ack","seq":8}</code>; without <code>after</code> the stream begins behind the last acknowledged event.
<code>{"type":"resume","after":N}</code> begins again, <code>{"type":"ping"}</code> is answered by <code>pong</code>,
<code>{"type":"gap","from":N}</code> says that older events are gone.</p>
<p>The same frames come as server-sent events by <code>GET /api/events/stream</code>. Every frame and close code of both
is described in <a href="/api/asyncapi.json">AsyncAPI 3.0</a>.</p>"""


def _errors() -> str:
    rows = "".join(
        f'<tr id="error-{code}"><td><code>{code}</code></td><td>{status}</td><td>{escape(title)}</td></tr>'
        for code, (status, title) in CODES.items())
    return ('<h2 id="errors">Errors</h2>\n<p>Every error is <code>application/problem+json</code> (RFC 9457) with '
            'one of these codes.</p>\n<div class="scroll"><table><tr><th>code</th><th>status</th><th>means</th></tr>'
            f"{rows}</table></div>")


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    fields = "".join(_field_rows(operation, document))
    table = f'<div class="scroll"><table><tr><th>takes</th><th></th><th></th></tr>{fields}</table></div>'
    answers = "".join(f"<tr><td>{status}</td><td>{_code_words(answer['description'])}</td></tr>"
                      for status, answer in operation["responses"].items())
    return (f'<h3 id="{escape(operation["operationId"])}"><span class="method">{method.upper()}</span> '
            f"<code>{escape(path)}</code></h3>\n<p>{escape(operation['summary'])}. "
            f'<span class="soft">{escape(operation["description"])}</span></p>\n{table if fields else ""}'
            f'<div class="scroll"><table><tr><th>gives</th><th></th></tr>{answers}</table></div>')


def _field_rows(operation: dict[str, Any], document: dict[str, Any]) -> Iterable[str]:
    for told in operation.get("parameters", ()):
        parameter = document["components"]["parameters"][told["$ref"].rpartition("/")[2]] if "$ref" in told else told
        yield _row(parameter["name"], f"{parameter['in']}", parameter["schema"])
    body = operation.get("requestBody")
    if body:
        schema = next(iter(body["content"].values()))["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for field, kind in schema["properties"].items():
            yield _row(field, "needed" if field in schema.get("required", ()) else "optional", kind)


def _row(name: str, place: str, schema: dict[str, Any]) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{place}</td><td>{escape(_kind(schema))}</td></tr>"


def _kind(schema: dict[str, Any]) -> str:
    kinds = [_kind(part) for part in schema.get("anyOf", ())] or [str(schema.get("type", "")) or "one of"]
    words = [" or ".join(kinds)]
    if "enum" in schema:
        words.append(", ".join(map(str, schema["enum"])))
    for low, high, unit in (("minLength", "maxLength", " characters"), ("minimum", "maximum", "")):
        if low in schema or high in schema:
            words.append(f"{schema.get(low, '')}..{schema.get(high, '')}{unit}")
    return ", ".join(words)


def _code_words(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def handler(html: str) -> Handler:
    """Serves a page that is ready."""
    async def handle(request: web.Request) -> web.StreamResponse:
        return reply.page(html, request[REQUEST_ID])
    return handle


def add_to(app: web.Application, document: dict[str, Any], stand_ins: Iterable[str],
           remembered: Remembered, secure: bool) -> None:
    """Adds the pages and what they need. `secure`: the outside speaks https, for the cookie."""
    app.router.add_get("/", handler(home(stand_ins)))
    app.router.add_get("/docs", handler(docs(document)))
    app.router.add_get("/signup", SignUpPage(static_files.html("signup"), remembered, secure).handle)
    for name in static_files.NAMES:
        if name != "signup":
            app.router.add_get(f"/{name}", handler(static_files.html(name)))
    static_files.add_to(app)
