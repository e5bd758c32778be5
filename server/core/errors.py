"""The one error that features raise, and the published list of its codes.

A `Problem` becomes an `application/problem+json` answer (RFC 9457) in `server.web.problems`; nothing below the
web floor knows HTTP beyond the status that stands beside each code here.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# code -> (HTTP status, title). The list is published: docs/rest.md and the OpenAPI document are made from it.
CODES: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "bad_cursor": (400, "The cursor is not one of this list's"),
    "bad_idempotency_key": (400, "The Idempotency-Key cannot be used"),
    "not_signed_in": (401, "A valid access token is needed"),
    "bad_credentials": (401, "Name or password is wrong"),
    "token_invalid": (401, "The token is not valid"),
    "token_reused": (401, "The refresh token was used before"),
    "forbidden": (403, "Not allowed"),
    "own_post": (403, "One's own post cannot be liked"),
    "own_account": (403, "One's own account cannot be suspended"),
    "email_unconfirmed": (403, "The e-mail address is not confirmed"),
    "suspended": (403, "The account is suspended"),
    "wrong_password": (403, "The current password is wrong"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "not_acceptable": (406, "The answer cannot come in a form that is accepted"),
    "request_timeout": (408, "The request took too long to arrive"),
    "username_taken": (409, "The user name is taken"),
    "email_taken": (409, "The e-mail address is taken"),
    "file_limit": (409, "There are as many files as there may be"),
    "email_confirmed": (409, "The e-mail address is confirmed"),
    "not_failed": (409, "The job has not failed"),
    "job_running": (409, "The job is being worked on"),
    "job_open": (409, "There is another job like it"),
    "too_large": (413, "The request is too large"),
    "unsupported_media_type": (415, "The content type is not supported"),
    "invalid_fields": (422, "Some fields are not valid"),
    "unknown_field": (422, "The request has a field that is not known"),
    "email_undeliverable": (422, "The e-mail address does not receive mail"),
    "idempotency_mismatch": (422, "The Idempotency-Key was used with another body"),
    "upgrade_required": (426, "This address speaks WebSocket"),
    "rate_limited": (429, "Too many requests"),
    "header_too_large": (431, "The request's headers are too large"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "Not available at the moment"),
    "busy": (503, "Too busy at the moment"),
    "verifier_unavailable": (503, "The e-mail address cannot be checked at the moment"),
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """An error that a person can act on.

    `code` is one of `CODES`; `status` differs from the code's own only where the contract gives one code two
    meanings (`email_undeliverable` is 422 at sign-up and 403 on a new post).
    """

    def __init__(self, code: str, detail: str, *, errors: Sequence[FieldError] = (),
                 headers: Mapping[str, str] | None = None, status: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.status = status or CODES[code][0]

    @property
    def title(self) -> str:
        """The fixed short sentence of the code."""
        return CODES[self.code][1]


class StorageUnavailable(Problem):
    """The database could not do the work now: a full disk, a lock that did not come, a closing connection."""

    def __init__(self, detail: str = "The database cannot take this now; try again shortly.") -> None:
        super().__init__("unavailable", detail, headers={"Retry-After": "5"})


class ConfigError(Exception):
    """An unusable setting or command line; its text is the line that the operator sees (exit code 2)."""


class CommandFailed(Exception):
    """A command that could not do what it was asked to; its text is the line that the operator sees (exit code 1)."""
