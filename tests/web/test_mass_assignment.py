"""Nobody gives themselves what is not theirs to give: fields that a request does not have are refused, by every route
and in every form, and nothing changes."""
from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.admin.conftest import QUIET
from tests.admin.support import Desk, rows
from tests.conftest import Serve
from tests.web.hostile import FORM, JSON, file_body, filled, problem, upload
from tests.web.test_bad_bodies import GOOD

TAKEN = {"role": "admin", "balance": 1_000_000, "id": 1, "email_status": "valid", "suspended_at": None,
         "email_confirmed_at": "2026-01-01T00:00:00.000Z", "password_hash": "$2b$04$" + "a" * 53}
TABLES = ("users", "sessions", "ledger", "inviters", "referrals", "posts", "likes", "files", "file_versions", "checks",
          "schedules", "links", "mails", "enrichments")
_END = b"--between--\r\n"


@pytest.fixture
async def desk(serve: Serve) -> Desk:
    """Somebody who may do everything, so that no route refuses the request for another reason."""
    desk = await Desk.of(await serve(QUIET))
    assert [(await desk.api.write_post(desk.token))["id"], (await upload(desk.api, desk.token))["id"]] == [1, 1]
    await desk.served.foyer.worker.stop()
    return desk


async def everything(desk: Desk) -> dict[str, list[Any]]:
    """All that a field of a request could be written into."""
    return {table: sorted(map(str, await rows(desk.served, f"SELECT * FROM {table}"))) for table in TABLES}


async def test_no_body_has_them(desk: Desk) -> None:
    before = await everything(desk)
    taking = [route for route in desk.served.foyer.routes if route.takes]
    assert len(taking) >= 13
    for route in taking:
        assert route.takes is not None and not TAKEN.keys() & set(route.takes.__struct_encode_fields__), route.key
        for given in ({name: value} for name, value in TAKEN.items()):
            await refused(desk, route.method, route.path, {**GOOD[route.key], **given}, set(given))
        await refused(desk, route.method, route.path, {**GOOD[route.key], **TAKEN}, set(TAKEN))
    assert await everything(desk) == before


async def refused(desk: Desk, method: str, path: str, body: dict[str, Any], fields: set[str]) -> None:
    """As JSON and as a form; each of the fields is named."""
    text = {name: "" if value is None else value for name, value in body.items()}
    for raw, headers in ((json.dumps(body), JSON), (urlencode(text), FORM)):
        answer = await desk.api.call(method, filled(path), token=desk.token, data=raw.encode(), headers=headers)
        assert problem(answer, 422) in ("unknown_field", "invalid_fields"), (method, path)
        found = {name for name, code in answer.fields.items() if code == "unknown_field"}
        assert found == fields, (method, path, headers, answer.fields)


async def test_no_query_has_them(desk: Desk) -> None:
    before = await everything(desk)
    asking = [route for route in desk.served.foyer.routes if route.query]
    assert len(asking) >= 10
    for route in asking:
        own = set(route.query.__struct_encode_fields__) if route.query else set()
        for name in TAKEN.keys() - own:
            answer = await desk.api.call(route.method, filled(route.path), token=desk.token, params={name: "1"})
            assert problem(answer, 422) == "unknown_field" and answer.fields == {name: "unknown_field"}, route.key
    assert await everything(desk) == before


async def test_no_upload_has_them(desk: Desk) -> None:
    before = await everything(desk)
    uploading = [route for route in desk.served.foyer.routes if route.uploads]
    assert uploading
    for route in uploading:
        for name, value in TAKEN.items():
            field = f'--between\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for raw in (file_body().removesuffix(_END) + field + _END, field + file_body()):
                answer = await desk.api.call(route.method, filled(route.path), token=desk.token, data=raw, headers={
                    "Content-Type": "multipart/form-data; boundary=between"})
                problem(answer, 422)
    assert await everything(desk) == before


async def test_the_same_requests_without_them_do_change_something(desk: Desk) -> None:
    """Or else nothing above would say anything."""
    before = await everything(desk)
    for key in ("POST /api/signup", "PATCH /api/me", "POST /api/posts"):
        method, path = key.split()
        answer = await desk.api.call(method, path, token=desk.token, json=GOOD[key])
        assert answer.status < 300
    after = await everything(desk)
    assert {table for table in TABLES if after[table] != before[table]} >= {"users", "posts", "sessions"}
