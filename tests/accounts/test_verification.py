"""What Hunter says of an address, and what follows."""
from __future__ import annotations

import pytest

from tests.accounts.letters import moved
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served, until
from tests.web.hostile import problem


async def sign_up(served: Served, email: str = "ada@example.org") -> Answer:
    """Tries to sign up."""
    return await served.api.post("/api/signup", {"username": "ada", "email": email, "password": PASSWORD})


@pytest.mark.parametrize("verdict", ["valid", "accept_all", "webmail", "unknown"])
async def test_a_verdict_is_written(server: Served, verdict: str) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=[verdict])
    assert (await sign_up(server)).data["user"]["email_status"] == verdict


@pytest.mark.parametrize("verdict", ["invalid", "disposable"])
async def test_a_bad_verdict_refuses(server: Served, verdict: str) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=[verdict])
    answer = await sign_up(server)
    assert problem(answer, 422) == "email_undeliverable" and answer.fields == {"email": "email_undeliverable"}
    await server.api.switch(server.sandbox, "hunter", verifier=["valid"])
    assert (await sign_up(server)).status == 201


async def test_which_verdicts_are_bad_is_a_setting(serve: Serve) -> None:
    server = await serve({"hunter.reject": "webmail"})
    await server.api.switch(server.sandbox, "hunter", verifier=["invalid"])
    answer = await sign_up(server)
    assert answer.data["user"]["email_status"] == "invalid"
    assert await server.api.write_post(answer.data["access_token"])
    await server.api.switch(server.sandbox, "hunter", verifier=["webmail"])
    problem(await server.api.post("/api/signup", {"username": "bob", "email": "bob@example.org", "password": PASSWORD}),
            422)


@pytest.mark.parametrize("position", ["503-html", "202-empty", "222-empty", "403-limit", "429-quota"])
async def test_no_verdict_does_not_hold_the_newcomer(server: Served, position: str) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=[position])
    assert (await sign_up(server)).data["user"]["email_status"] == "pending"


@pytest.mark.parametrize("position", ["503-html", "202-empty", "403-limit"])
async def test_no_verdict_can_refuse_for_now(serve: Serve, position: str) -> None:
    server = await serve({"hunter.on_failure": "reject"})
    await server.api.switch(server.sandbox, "hunter", verifier=[position])
    answer = await sign_up(server)
    assert problem(answer, 503) == "verifier_unavailable" and int(answer.headers["Retry-After"]) > 0
    problem(await server.api.post("/api/login", {"username": "ada", "password": PASSWORD}), 401)


async def test_a_refused_key_is_unchecked(server: Served) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=["401"])
    assert (await sign_up(server)).data["user"]["email_status"] == "unchecked"


async def test_without_a_verifier_nothing_is_checked(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off"})
    user = (await sign_up(server)).data["user"]
    assert user["email_status"] == "unchecked" and user["enrichment"]["status"] == "not_configured"


async def test_a_bad_verdict_that_comes_late_stops_posting_only(server: Served) -> None:
    api = server.api
    await api.switch(server.sandbox, "hunter", verifier=["202-empty", "invalid"])
    token = (await sign_up(server)).data["access_token"]

    async def judged() -> bool:
        return bool((await api.get("/api/me", token=token)).data["email_status"] == "invalid")
    await until(judged)
    answer = await api.post("/api/posts", {"title": "a", "text": "b"}, token=token)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, answer.body["code"]) == (403, "email_undeliverable")
    assert (await api.post("/api/login", {"username": "ada", "password": PASSWORD})).status == 200
    assert (await api.get("/api/posts", token=token)).data == []
    await api.switch(server.sandbox, "hunter", verifier=["valid"])
    await moved(server, token, "ada@example.com")
    assert (await api.get("/api/me", token=token)).data["email_status"] == "valid"
    assert await api.write_post(token)
