"""The OpenAPI document says what the router does."""
from __future__ import annotations

import json
import re
from typing import Any

import pytest

from server.core.errors import CODES
from server.web.problems import CONTENT_TYPE
from tests.support import Served

NOT_OF_THE_API = {"/", "/docs", "/ws", "/static/foyer.css"}


@pytest.fixture
async def document(server: Served) -> Any:
    return (await server.api.get("/api/openapi.json")).body


async def test_its_paths_are_the_routers(server: Served, document: Any) -> None:
    app = server.foyer.web_app()
    found: dict[str, set[str]] = {}
    for route in app.router.routes():
        assert route.resource is not None
        found.setdefault(route.resource.canonical, set()).add(route.method.lower())
    for path in NOT_OF_THE_API:
        del found[path]
    told = {path: set(operations) | ({"head"} if "get" in operations else set())
            for path, operations in document["paths"].items()}
    assert told == found


async def test_it_is_what_the_standard_asks_for(document: Any) -> None:
    assert document["openapi"] == "3.1.0" and document["info"]["title"] and document["info"]["version"]
    ids = [operation["operationId"] for operation in _operations(document)]
    assert len(ids) == len(set(ids))
    for operation in _operations(document):
        assert operation["summary"] and operation["responses"] and operation["tags"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references == set(document["components"]["schemas"]) & references and references


async def test_every_path_parameter_is_declared(document: Any) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            told = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert told == set(re.findall(r"{(\w+)}", path)), path


async def test_every_error_is_a_problem_with_a_published_code(document: Any) -> None:
    for operation in _operations(document):
        for status, answer in operation["responses"].items():
            if int(status) < 400 or CONTENT_TYPE not in answer["content"]:
                continue
            codes = re.findall(r"`(\w+)`:", answer["description"])
            assert codes and all(code in CODES for code in codes)


async def test_who_may_is_said(server: Served, document: Any) -> None:
    for route in server.foyer.routes:
        security = document["paths"][route.path][route.method.lower()].get("security", [])
        assert security == {"open": [], "anyone": [{"bearer": []}, {}]}.get(route.who, [{"bearer": []}])


async def test_a_members_route_is_closed_without_a_token(server: Served) -> None:
    for route in server.foyer.routes:
        answer = await server.api.call(route.method, route.path.replace("{id}", "1"))
        assert (answer.status == 401) == (route.who in ("member", "admin")), route.key


def _operations(document: Any) -> list[Any]:
    return [operation for operations in document["paths"].values() for operation in operations.values()]
