"""What schemathesis is told of Foyer: in whose name it speaks, and what no schema can say.

It is loaded by schemathesis itself (`SCHEMATHESIS_HOOKS`), in a process of its own; `test_schemathesis.py` starts that.
"""
from __future__ import annotations

import atexit
import base64
import itertools
import json
import os
import re
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import provisional
from hypothesis import strategies as st

# The member of the document's examples, so that the examples are those of somebody who is there.
NAME, EMAIL, PASSWORD = "ada", "ada@example.org", "corr3ct-horse"
MAIL_TOKEN = "bWFpbGVk"
URL, SINK = os.environ["FOYER_JUDGED"], os.environ["FOYER_JUDGED_SINK"]
FAILED_JOBS = ("POST /api/admin/jobs/{id}/retry", "DELETE /api/admin/jobs/{id}")  # what is for those only
ONES_OWN = ("DELETE /api/me", "POST /api/email/resend")  # what can be done once, in the name of somebody new

# Why a request that the schema allows may be refused; each a rule about the world, not about the form of the request.
REFUSED = {
    "bad_cursor": "A cursor is opaque: one that was made up is no place in the list.",
    "idempotency_mismatch": "The same key came with another body before.",
    "too_common": "Which passwords everybody tries first is a list, and no pattern.",
    "is_the_name": "A password must differ from another field of the same request.",
    "email_undeliverable": "Whether an address takes mail is for Hunter to say.",
    "token_invalid": "A token is made by the server: one that was made up is none.",
    "not_both": "Two parameters that exclude each other.",
}
# `bad_format` is one of them only where the schema names a format: a name says less than the server checks.
SOON = 200  # looks into the mail sink, of which each takes a twentieth of a second
WITHOUT_A_BODY = "POST /api/token/refresh"  # its field is `required` only when no cookie stands in for it

schemathesis.openapi.format("iri", provisional.urls().filter(lambda url: len(url) <= 500 and ":0/" not in url))
schemathesis.openapi.format("idn-email", st.from_regex(r"[a-z]{3,20}[0-9]{1,9}@example\.org", fullmatch=True))
schemathesis.openapi.format("date", st.dates(date(1900, 1, 1), date.today()).map(str))


def _token_of(path: str, **body: str) -> str:
    return str(requests.post(URL + path, json=body, timeout=10).json()["data"]["access_token"])


def _session_of(token: str) -> int:
    claims = token.split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sid"])


def _failed_job(token: str) -> int:
    """One that can be tried again, or forgotten."""
    found = requests.get(f"{URL}/api/admin/jobs", params={"state": "failed"}, timeout=10,
                         headers={"Authorization": f"Bearer {token}"}).json()["data"]
    return int(found[0]["id"]) if found else 1


def somebody(email: str | None = None) -> str:
    """The token of a new member with the password of the examples: for the operation that ends an account, else all
    that came after it would speak of posts that are gone."""
    name = f"somebody{next(numbers)}"
    return _token_of("/api/signup", username=name, email=email or f"{name}@example.org", password=PASSWORD)


class MailToken:
    """A token that was sent by mail, good until it is used; then there is another one."""

    def __init__(self, page: str) -> None:
        self._link, self._good = f"/{page}#token=", ""

    def good(self) -> str:
        """One that was not used yet."""
        self._good = self._good or self._new()
        return self._good

    def used(self) -> None:
        """It is good no longer."""
        self._good = ""

    def _new(self) -> str:
        email = f"mail{next(numbers)}@example.org"
        somebody(email)
        requests.post(f"{URL}/api/password/forgot", json={"email": email}, timeout=10)
        for _ in range(SOON):
            letters = requests.get(f"{SINK}/messages", params={"to": email}, timeout=10).json()["data"]
            found = [link for letter in letters for link in letter["links"] if self._link in link]
            if found:
                return str(found[0].partition("#token=")[2])
            time.sleep(0.05)
        raise AssertionError(f"no letter has come to {email}")


class Speaker:
    """The member in whose name the run speaks; signed in again whenever a call has ended the session."""

    def __init__(self) -> None:
        self._token: str | None = None

    def token(self) -> str:
        """A valid access token."""
        if self._token is None:
            self._token = self._sign_in()
        return self._token

    def _sign_in(self) -> str:
        return _token_of("/api/login", username=NAME, password=PASSWORD)

    def changed(self, label: str, body: Any) -> None:
        """A call has changed something: looks whether the token is still good, and takes a new password back."""
        if self._token is None:
            return
        headers = {"Authorization": f"Bearer {self._token}"}
        if label == "POST /api/me/password":
            back = {"current": body["new"], "new": PASSWORD}
            requests.post(f"{URL}/api/me/password", json=back, headers=headers, timeout=10)
        elif requests.get(f"{URL}/api/sessions?limit=1", headers=headers, timeout=10).status_code == 401:
            self._token = None


speaker = Speaker() if os.environ.get("FOYER_JUDGE_IS") == "member" else None
mail_tokens = {"POST /api/email/confirm": MailToken("confirm"), "POST /api/password/reset": MailToken("reset")}
answers: dict[str, Counter[int]] = {}
numbers = itertools.count(1)

if speaker:
    @schemathesis.auth(refresh_interval=None)
    class SignedIn:
        """Puts the speaker's token into the header."""

        def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
            """The token."""
            assert speaker
            return somebody() if case.operation.label in ONES_OWN else speaker.token()

        def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
            """Where it goes."""
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Makes three in four requests new: else most of them would meet a name that is taken, a key that was used or a
    session that has ended."""
    number = next(numbers)
    if number % 4 == 0:
        return
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
        case.headers["Idempotency-Key"] = f"{key}-{number}"
    if speaker and case.operation.label == "DELETE /api/sessions/{id}" and str(case.path_parameters["id"]) == "1":
        case.path_parameters["id"] = _session_of(_token_of("/api/login", username=NAME, password=PASSWORD))
    if speaker and case.operation.label in FAILED_JOBS and str(case.path_parameters["id"]) == "1":
        case.path_parameters["id"] = _failed_job(speaker.token())
    if case.operation.label == "POST /api/signup" and isinstance(case.body, dict):
        new = {NAME: f"{NAME}{number}", EMAIL: f"{NAME}{number}@example.org"}
        case.body = {name: new.get(value, value) if isinstance(value, str) else value
                     for name, value in case.body.items()}
    if case.operation.label in mail_tokens and isinstance(case.body, dict) and case.body.get("token") == MAIL_TOKEN:
        case.body = {**case.body, "token": mail_tokens[case.operation.label].good()}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Counts, and keeps the speaker signed in."""
    answers.setdefault(case.operation.label, Counter())[response.status_code] += 1
    if case.operation.label in mail_tokens and response.status_code < 300:
        mail_tokens[case.operation.label].used()
    if speaker and case.method != "GET" and response.status_code < 300:
        speaker.changed(case.operation.label, case.body)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure stays one."""
    kind = type(failure).__name__
    if kind == "RejectedPositiveData":
        return not _is_beyond_a_schema(case, response.json())
    if kind == "AcceptedNegativeData":
        return not (_is_too_large(response) or _is_yes_or_no(failure, case)
                    # A header that nobody knows is nobody's business, as HTTP has it.
                    or failure.message.endswith("in header - object with unexpected properties"))
    # A like is taken back; the post, and the list of those who like it, stay.
    return not (kind == "UseAfterFree" and failure.free.endswith("/like"))


def _is_beyond_a_schema(case: Any, problem: Any) -> bool:
    if problem["code"] != "invalid_fields":
        return problem["code"] in REFUSED
    formatted = _with_a_format(case.operation.schema.raw_schema)
    return all(error["code"] in REFUSED or (error["code"] == "bad_format" and error["field"] in formatted)
               or (error["code"] == "required" and case.operation.label == WITHOUT_A_BODY)
               for error in problem["errors"])


def _is_too_large(response: Any) -> bool:
    """A file that is too large is refused, by a status that schemathesis does not expect."""
    return bool(response.status_code == 413)


def _is_yes_or_no(failure: Any, case: Any) -> bool:
    """In a form, where all is text, 0 and 1 are taken for false and true."""
    wrong = re.search(r"in body - (\w+): Incorrect type$", failure.message, re.MULTILINE)
    return bool(wrong and case.media_type == "application/x-www-form-urlencoded"
                and str(case.body[wrong[1]]).lower() in ("0", "1", "false", "true"))


def _with_a_format(schema: Any) -> set[str]:
    """The fields whose schema names a format."""
    return {name for component in schema["components"]["schemas"].values()
            for name, field in component.get("properties", {}).items() if '"format"' in json.dumps(field)}


@atexit.register
def _write_down() -> None:
    told = {label: {str(status): number for status, number in found.items()} for label, found in answers.items()}
    Path(os.environ["FOYER_JUDGE_ANSWERS"]).write_text(json.dumps(told))
