"""A failed job that is tried again really does its work, once; and what else is done to jobs, or refused."""
from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from server.jobs.model import Reopens
from tests.admin.support import Desk, rows, whole, written
from tests.admin.test_lists import job
from tests.conftest import Serve
from tests.enrichment.support import an_hour_later, ask_again, asked, me, settled, told
from tests.mail.support import Reader
from tests.support import PASSWORD, until
from tests.web.hostile import problem

ONCE = {"enrichment.attempts": "1", "enrichment.first_retry": "10 ms", "hunter.timeout": "200 ms",
        "auth.access_minutes": "1440"}
MEMBER = "SELECT email_status FROM users WHERE username = 'ada'"
ENRICHMENT = "SELECT status, requests, answers FROM enrichments ORDER BY user_id"
BROKEN = "503-json"


async def failed(desk: Desk, kind: str) -> Any:
    """The newest failed job of the kind, once there is one."""
    async def there() -> Any:
        found = await desk.listed("jobs", state="failed", q=kind)
        return found[0] if found else None
    return await until(there)


async def unknown(desk: Desk) -> tuple[Any, Any]:
    """A new member about whom no provider has answered: their session, and the job that has failed."""
    await switched(desk, find=BROKEN)
    ada = await desk.api.sign_up("ada")
    await settled(desk.served)
    return ada, await failed(desk, "enrich")


async def retried(desk: Desk, failed_job: Any) -> Any:
    """Has it tried again; what was answered."""
    answer = await desk.post(f"jobs/{failed_job['id']}/retry")
    assert answer.status == 202, answer.body
    return answer.data


async def ended(desk: Desk, id_: int) -> Any:
    """The job, once it does not wait or run any more."""
    async def there() -> Any:
        found = next(each for each in await desk.listed("jobs") if each["id"] == id_)
        return found if found["state"] in ("done", "failed") else None
    return await until(there)


async def switched(desk: Desk, **positions: str) -> None:
    """What both providers do with a question for a person, or Hunter with one for an address."""
    sandbox = desk.served.sandbox
    await desk.api.switch(sandbox, "hunter", **positions)
    if "find" in positions:
        await desk.api.switch(sandbox, "clearbit", find=positions["find"])


@pytest.fixture
async def desk(serve: Serve) -> Desk:
    """An administrator at a server whose providers can be told how to behave, with nothing under way."""
    desk = await Desk.of(await serve(ONCE))
    await settled(desk.served)
    return desk


async def test_every_handler_with_something_to_open_again_is_tried_here(desk: Desk) -> None:
    kinds = {handler.kind for handler in desk.served.foyer.handlers if isinstance(handler, Reopens)}
    assert kinds == {"enrich", "verify_email", "send_mail"}


# -- the effect

async def test_an_enrichment(desk: Desk) -> None:
    ada, found = await unknown(desk)
    assert [each["status"] for each in await told(desk.served, ada)] == ["failed"]
    await switched(desk, find="found")
    assert found["attempts"] == 1 and found["last_error"] and found["key"] == str(ada["user"]["id"])
    again = await retried(desk, found)
    assert (again["id"], again["attempts"], again["finished_at"]) == (found["id"], 0, None)
    assert again["state"] == "ready" and again["last_error"] == found["last_error"]
    await settled(desk.served)
    assert [each["status"] for each in await told(desk.served, ada)] == ["failed", "found"]
    assert (await me(desk.served, ada))["name"] is not None
    end = await ended(desk, found["id"])
    assert (end["state"], end["attempts"], end["last_error"]) == ("done", 1, None)
    assert (await rows(desk.served, ENRICHMENT))[-1] == {"status": "found", "requests": 2, "answers": 2}
    await whole(desk.served)


async def test_an_enrichment_that_fails_once_more(desk: Desk) -> None:
    ada, found = await unknown(desk)
    for count in (2, 3):
        await retried(desk, found)
        assert (await ended(desk, found["id"]))["state"] == "failed"
        assert [each["status"] for each in await told(desk.served, ada)] == ["failed"] * count
    await whole(desk.served)


async def test_an_enrichment_that_the_member_has_asked_for_themselves_since(desk: Desk) -> None:
    ada, found = await unknown(desk)
    await desk.served.foyer.worker.stop()
    await an_hour_later(desk.served, ada)
    assert (await ask_again(desk.served, ada)).status == 202
    assert problem(await desk.post(f"jobs/{found['id']}/retry"), 409) == "job_open"
    assert (await rows(desk.served, ENRICHMENT))[-1]["requests"] == 2
    await whole(desk.served)


async def test_a_check_of_an_address(desk: Desk) -> None:
    await switched(desk, verifier=BROKEN)
    ada = await desk.api.sign_up("ada")
    await settled(desk.served)
    assert await told(desk.served, ada, "email_verified") == [{"email_status": "unknown"}]
    await switched(desk, verifier="webmail")
    found = await failed(desk, "verify_email")
    await retried(desk, found)
    assert (await ended(desk, found["id"]))["state"] == "done"
    assert await told(desk.served, ada, "email_verified") == [{"email_status": status} for status in (
        "unknown", "webmail")]
    assert await rows(desk.served, MEMBER) == [{"email_status": "webmail"}]
    await whole(desk.served)


async def test_an_address_whose_owner_does_not_want_it_is_not_asked_about(desk: Desk) -> None:
    await switched(desk, verifier=BROKEN)
    ada = await desk.api.sign_up("ada")
    await settled(desk.served)
    hashed = desk.served.foyer._address_hash("ada@example.org")
    await written(desk.served, "INSERT INTO provider_answers VALUES ($1, '*', 'claimed', 1)", hashed)
    before = await asked(desk.served, "hunter", "verifier", "ada@example.org")
    found = await failed(desk, "verify_email")
    await retried(desk, found)
    assert (await ended(desk, found["id"]))["state"] == "done"
    assert await asked(desk.served, "hunter", "verifier", "ada@example.org") == before
    assert await told(desk.served, ada, "email_verified") == [{"email_status": "unknown"}]
    await whole(desk.served)


async def test_a_check_of_an_address_that_is_known_meanwhile(desk: Desk) -> None:
    await switched(desk, verifier=BROKEN)
    await desk.api.sign_up("ada")
    await settled(desk.served)
    await written(desk.served, "UPDATE users SET email_status = 'valid' WHERE username = 'ada'")
    found = await failed(desk, "verify_email")
    await retried(desk, found)
    assert (await ended(desk, found["id"]))["state"] == "done"
    assert await rows(desk.served, MEMBER) == [{"email_status": "valid"}]
    await whole(desk.served)


async def test_a_mail(desk: Desk) -> None:
    reader = Reader(desk.served, desk.token)
    await desk.api.switch(desk.served.sandbox, "mail", deliver="550")
    await desk.api.sign_up("ada")
    before = await reader.ended("ada@example.org", "failed")
    await desk.api.switch(desk.served.sandbox, "mail", deliver="250")
    found = await failed(desk, "send_mail")
    assert found["key"] == str(before["id"])
    await desk.served.foyer.worker.stop()
    await retried(desk, found)
    assert (await reader.whole("ada@example.org"))["status"] == "queued"
    await whole(desk.served)
    await desk.served.foyer.worker.start(alone=True)
    after = await reader.ended("ada@example.org", "sent")
    assert (after["message_id"], after["reason"]) == (before["message_id"], None)
    letter, = await reader.arrived("ada@example.org")
    assert letter["subject"] == after["subject"] and "#token=" in letter["links"][0]
    await whole(desk.served)


async def test_a_mail_whose_link_is_used_stays_failed(desk: Desk) -> None:
    reader = Reader(desk.served, desk.token)
    await desk.api.switch(desk.served.sandbox, "mail", deliver="550")
    await desk.api.sign_up("ada")
    await reader.ended("ada@example.org", "failed")
    await written(desk.served, "DELETE FROM links")
    found = await failed(desk, "send_mail")
    await retried(desk, found)
    assert (await ended(desk, found["id"]))["state"] == "done"
    mail = await reader.ended("ada@example.org", "failed")
    assert mail["reason"] == "its link was used or has expired"
    await whole(desk.served)


@pytest.mark.parametrize("kind", ["enrich", "verify_email", "send_mail", "check_files", "forgot_password", "scrub",
                                  "housekeeping"])
async def test_about_somebody_who_is_gone(desk: Desk, kind: str) -> None:
    await job(desk.served, kind, "7777", "failed", "it broke")
    found = await failed(desk, kind)
    await retried(desk, found)
    assert (await ended(desk, found["id"]))["state"] == "done"
    await whole(desk.served)


async def test_a_letter_to_somebody_who_forgot_the_password(desk: Desk) -> None:
    ada = (await desk.api.sign_up("ada"))["user"]["id"]
    await job(desk.served, "forgot_password", f"{ada} 0011", "failed", "cannot be loaded")
    await retried(desk, await failed(desk, "forgot_password"))
    reader = Reader(desk.served, desk.token)

    async def arrived() -> bool:
        return any("/reset#token=" in link for letter in await reader.arrived("ada@example.org")
                   for link in letter["links"])
    await until(arrived)


async def test_who_has_left_takes_their_failed_jobs_along(desk: Desk) -> None:
    await switched(desk, find=BROKEN, verifier=BROKEN)
    ada = await desk.api.sign_up("ada")
    await settled(desk.served)
    for kind in ("enrich", "verify_email"):
        await failed(desk, kind)
    await desk.api.call("DELETE", "/api/me", token=ada["access_token"], json={"password": PASSWORD})
    assert await desk.listed("jobs", state="failed") == []


# -- what is refused

async def test_only_what_has_failed(desk: Desk) -> None:
    await desk.served.foyer.worker.stop()
    for state in ("done", "ready", "running"):
        await job(desk.served, "send_mail", state, state)
        found, = await desk.listed("jobs", state=state, q=state)
        code = "job_running" if state == "running" else "not_failed"
        assert problem(await desk.post(f"jobs/{found['id']}/retry"), 409) == code
        answer = await desk.api.call("DELETE", f"/api/admin/jobs/{found['id']}", token=desk.token)
        assert problem(answer, 409) == code
        assert (await desk.listed("jobs", state=state, q=state)) == [found]
    assert await desk.acts("job_retried", "job_dropped") == []


async def test_what_is_not_there_or_nobody_does(desk: Desk) -> None:
    problem(await desk.post("jobs/7777/retry"), 404)
    problem(await desk.api.call("DELETE", "/api/admin/jobs/7777", token=desk.token), 404)
    await job(desk.served, "from_an_older_version", "1", "failed")
    found = await failed(desk, "from_an_older_version")
    answer = await desk.post(f"jobs/{found['id']}/retry")
    assert problem(answer, 404) == "not_found" and "Nobody does" in answer.body["detail"]
    assert (await failed(desk, "from_an_older_version")) == found


async def test_another_one_is_open(desk: Desk) -> None:
    await desk.served.foyer.worker.stop()
    for state in ("ready", "running"):
        await job(desk.served, "enrich", state, "failed")
        await job(desk.served, "enrich", state, state)
        found, = await desk.listed("jobs", state="failed", q=state)
        assert problem(await desk.post(f"jobs/{found['id']}/retry"), 409) == "job_open"


async def test_of_many_at_once_one_is_let_through(desk: Desk) -> None:
    ada, found = await unknown(desk)
    await desk.served.foyer.worker.stop()
    answers = await asyncio.gather(*(desk.post(f"jobs/{found['id']}/retry") for _ in range(12)))
    assert Counter(answer.status for answer in answers) == {202: 1, 409: 11}
    await desk.served.foyer.worker.start(alone=True)
    await settled(desk.served)
    assert len(await told(desk.served, ada)) == 2
    assert len(await desk.acts("job_retried")) == 1


async def test_of_two_failed_ones_alike_one_is_let_through(desk: Desk) -> None:
    await desk.served.foyer.worker.stop()
    for _ in range(2):
        await job(desk.served, "enrich", "7777", "failed")
    found = await desk.listed("jobs", state="failed", q="enrich")
    answers = await asyncio.gather(*(desk.post(f"jobs/{each['id']}/retry") for each in found * 4))
    assert Counter(answer.status for answer in answers) == {202: 1, 409: 7}


# -- forgetting, and what is written down

async def test_a_failed_one_is_forgotten(desk: Desk) -> None:
    await switched(desk, find=BROKEN, verifier=BROKEN)
    await desk.api.switch(desk.served.sandbox, "mail", deliver="550")
    await desk.api.sign_up("ada")
    await settled(desk.served)
    for kind in ("enrich", "verify_email", "send_mail"):
        found = await failed(desk, kind)
        answer = await desk.api.call("DELETE", f"/api/admin/jobs/{found['id']}", token=desk.token)
        assert (answer.status, answer.raw) == (204, b"")
        problem(await desk.api.call("DELETE", f"/api/admin/jobs/{found['id']}", token=desk.token), 404)
        await whole(desk.served)
    assert len(await desk.acts("job_dropped")) == 3


async def test_the_number_of_one_that_is_forgotten_is_never_anothers(desk: Desk) -> None:
    await desk.served.foyer.worker.stop()
    numbers = []
    for _ in range(3):
        await job(desk.served, "toy", "x", "failed")
        numbers.append((await desk.listed("jobs", q="toy"))[0]["id"])
        assert (await desk.api.call("DELETE", f"/api/admin/jobs/{numbers[-1]}", token=desk.token)).status == 204
    assert numbers == sorted(set(numbers))


async def test_each_is_written_down(desk: Desk) -> None:
    for number in range(2):
        await job(desk.served, "check_files", f"777{number}", "failed")
    second, first = await desk.listed("jobs", state="failed", q="check_files")
    await retried(desk, first)
    await desk.api.call("DELETE", f"/api/admin/jobs/{second['id']}", token=desk.token)
    acts = await desk.acts("job_retried", "job_dropped")
    assert [(act["act"], act["target"], act["actor_id"], act["member_id"]) for act in acts] == [
        ("job_retried", f"job {first['id']}", desk.id, None), ("job_dropped", f"job {second['id']}", desk.id, None)]
    assert {act["details"] for act in acts} == {'{"kind":"check_files"}'}


async def test_not_for_members(desk: Desk) -> None:
    await job(desk.served, "check_files", "7777", "failed")
    found = await failed(desk, "check_files")
    ada = (await desk.api.sign_up("ada"))["access_token"]
    for method, deed in (("POST", "/retry"), ("DELETE", "")):
        path = f"/api/admin/jobs/{found['id']}{deed}"
        assert problem(await desk.api.call(method, path, token=ada), 403) == "forbidden"
        problem(await desk.api.call(method, path), 401)
    assert await failed(desk, "check_files") == found
