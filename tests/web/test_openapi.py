"""The OpenAPI document says what the router does, and says it well."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.core.errors import CODES
from server.web.bodies import FORM, JSON
from server.web.problems import CONTENT_TYPE
from server.web.uploads import FIELD, MEDIA
from tests.answers import NOT_OF_THE_API
from tests.support import Served
from tests.web.hostile import filled, problem

WITHOUT_EXAMPLE = {"cursor": "it is opaque: one that is made up is refused"}


@pytest.fixture
async def document(server: Served) -> Any:
    return (await server.api.get("/api/openapi.json")).body


async def test_its_paths_are_the_routers(server: Served, document: Any) -> None:
    app = server.foyer.web_app()
    found: dict[str, set[str]] = {}
    for route in app.router.routes():
        assert route.resource is not None
        found.setdefault(route.resource.canonical, set()).add(route.method.lower())
    assert NOT_OF_THE_API.keys() <= found.keys(), "an exception is not needed any more"
    for path in NOT_OF_THE_API:
        del found[path]
    told = {path: set(operations) | ({"head"} if "get" in operations else set())
            for path, operations in document["paths"].items()}
    assert told == found


def test_it_is_what_the_standard_asks_for(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0" and document["info"]["title"] and document["info"]["version"]
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, operation in _operations(document)]
    assert len(ids) == len(set(ids))
    for _, operation in _operations(document):
        assert operation["summary"] and operation["description"] and set(operation["tags"]) <= tags


def test_every_reference_leads_somewhere_and_every_component_is_used(document: Any) -> None:
    used = set(re.findall(r'"#/components/(\w+/[\w-]+)"', json.dumps(document)))
    there = {f"{kind}/{name}" for kind, named in document["components"].items() for name in named}
    assert there - {"securitySchemes/bearer"} == used


def test_every_path_parameter_is_declared(document: Any) -> None:
    for path, operation in _operations(document):
        told = {each["name"] for each in _parameters(document, operation) if each["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)}", path)), path


def test_every_parameter_is_described(document: Any) -> None:
    for path, operation in _operations(document):
        for each in _parameters(document, operation):
            assert each["description"] and each["schema"], (path, each["name"])


def test_every_error_is_a_problem_with_a_published_code(document: Any) -> None:
    for path, operation in _operations(document):
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            problem = _resolved(document, answer)
            assert CONTENT_TYPE in problem["content"]
            codes = re.findall(r"`(\w+)`:", answer["description"])
            assert codes and all(code in CODES for code in codes), (path, status)


def test_the_headers_that_always_come_are_declared(document: Any) -> None:
    belong = {"201": "Location", "401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for path, operation in _operations(document):
        for status, answer in operation["responses"].items():
            headers = _resolved(document, answer)["headers"]
            wanted = {"X-Request-ID"} | ({belong[status]} if status in belong else set())
            required = {name for name, header in headers.items() if _resolved(document, header).get("required")}
            assert required == wanted, (path, status)


def test_headers_that_steer_a_request_are_described(document: Any) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            told = {each["name"] for each in _parameters(document, operation) if each["in"] == "header"}
            assert "X-Request-ID" in told
            assert ("Idempotency-Key" in told) == (method == "post"), path


def test_a_form_has_the_fields_of_the_json(document: Any) -> None:
    for path, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        assert set(content) in (set(), {JSON, FORM}, {MEDIA}), path
        if JSON in content:
            as_json, form = (_resolved(document, content[kind]["schema"]) for kind in (JSON, FORM))
            assert list(as_json["properties"]) == list(form["properties"])
            assert as_json["required"] == form["required"] and form["additionalProperties"] is False


async def test_a_file_is_described_with_its_name(server: Served, document: Any) -> None:
    found = {f"{method.upper()} {path}" for path, operations in document["paths"].items()
             for method, told in operations.items() if MEDIA in told.get("requestBody", {}).get("content", {})}
    assert found == {route.key for route in server.foyer.routes if route.uploads}
    for key in found:
        method, _, path = key.partition(" ")
        told = document["paths"][path][method.lower()]["requestBody"]["content"][MEDIA]
        name = told["encoding"][FIELD]["headers"]["Content-Disposition"]["example"]
        assert list(told["schema"]["properties"]) == [FIELD] and name.endswith('.py"')


def test_every_example_is_valid_and_there_is_one_for_all_that_comes_in(document: Any) -> None:
    for schema, examples in _examples(document):
        assert examples
        validator = jsonschema_rs.Draft202012Validator({"allOf": [schema], "components": document["components"]},
                                                       validate_formats=True)
        for example in examples:
            validator.validate(example)


def test_what_comes_in_has_an_end(document: Any) -> None:
    for _, operation in _operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for name, field in _resolved(document, media["schema"])["properties"].items():
                for part in (field, *field.get("anyOf", ())):
                    assert part.get("type") != "string" or {"maxLength", "pattern", "enum"} & part.keys(), name


def test_every_time_is_told_to_be_one(document: Any) -> None:
    for component in document["components"]["schemas"].values():
        for name, field in component.get("properties", {}).items():
            if re.fullmatch(r"(.*_)?at", name):
                assert '"format": "date-time"' in json.dumps(field), name


def test_links_lead_to_an_operation_that_takes_what_they_hand_over(document: Any) -> None:
    operations = {operation["operationId"]: operation for _, operation in _operations(document)}
    found = [link for operation in operations.values() for answer in operation["responses"].values()
             for link in answer.get("links", {}).values()]
    assert len(found) >= 10
    for link in found:
        target = operations[link["operationId"]]
        names = {each["name"] for each in _parameters(document, target)}
        assert set(link.get("parameters", ())) <= names
        assert "requestBody" in target or "requestBody" not in link


async def test_who_may_is_said(server: Served, document: Any) -> None:
    for route in server.foyer.routes:
        security = document["paths"][route.path][route.method.lower()].get("security", [])
        assert security == {"open": [], "anyone": [{"bearer": []}, {}]}.get(route.who, [{"bearer": []}])


async def test_a_members_route_is_closed_without_a_token(server: Served) -> None:
    for route in server.foyer.routes:
        answer = await server.api.call(route.method, filled(route.path))
        assert (answer.status == 401) == (route.who in ("member", "admin")), route.key


async def test_an_administrators_route_is_closed_to_members(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    found = [route for route in server.foyer.routes if route.who == "admin"]
    assert {"GET /api/admin/mails", "GET /api/admin/mails/{id}"} <= {route.key for route in found}
    for route in found:
        for id_ in (1, 4711):  # what is there, and what is not: a member learns nothing of either
            answer = await server.api.call(route.method, filled(route.path, id_), token=token)
            assert problem(answer, 403) == "forbidden", route.key


def _operations(document: Any) -> list[tuple[str, Any]]:
    return [(path, operation) for path, operations in document["paths"].items() for operation in operations.values()]


def _resolved(document: Any, told: Any) -> Any:
    if "$ref" not in told:
        return told
    found = document
    for part in told["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _parameters(document: Any, operation: Any) -> list[Any]:
    return [_resolved(document, each) for each in operation["parameters"]]


def _examples(document: Any) -> Iterator[tuple[Any, list[Any]]]:
    for _, operation in _operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            yield media["schema"], [media["example"]]
        for each in _parameters(document, operation):
            if each["in"] in ("path", "query") and each["name"] not in WITHOUT_EXAMPLE:
                yield each["schema"], each["schema"].get("examples", [])
    for component in document["components"]["schemas"].values():
        for field in component.get("properties", {}).values():
            if "examples" in field:
                yield field, field["examples"]
