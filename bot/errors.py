"""What can go wrong while speaking to a Foyer server."""

from collections.abc import Mapping, Sequence
from typing import Any


class FoyerError(Exception):
    """Anything this client reports; catch this to catch them all."""


class ServerUnreachable(FoyerError):
    """The server could not be reached, although it was tried several times."""


class BadAnswer(FoyerError):
    """The server answered something that no Foyer server answers."""


class NotSignedIn(FoyerError):
    """A member's token is needed, and neither sign_up nor login was called."""


class SocketRefused(FoyerError):
    """The server closed the socket for a reason that trying again does not mend.

    Arguments: the close code (or the HTTP status of a refused upgrade), and what it means.
    """

    def __init__(self, code: int, meaning: str) -> None:
        super().__init__(f"/ws was refused with {code}: {meaning}")
        self.code = code


class ApiError(FoyerError):
    """The server refused a request; `code` is one of its published list.

    Arguments: the request ("PUT /api/posts/7/like"), the HTTP status and the members of the problem document.
    `retry_after` is in seconds where the server gave one.
    """

    def __init__(self, request: str, status: int, problem: Mapping[str, Any],
                 retry_after: float | None = None) -> None:
        self.request = request
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or "no detail")
        self.errors: Sequence[Mapping[str, Any]] = problem.get("errors") or ()
        self.request_id: str | None = problem.get("request_id")
        self.retry_after = retry_after
        super().__init__(self._text())

    def _text(self) -> str:
        fields = "; ".join(f"{error.get('field')}: {error.get('code')}" for error in self.errors)
        text = f"{self.request}: {self.status} {self.code}: {self.detail}"
        return f"{text} ({fields})" if fields else text


class LimitReached(ApiError):
    """A limit of the server asks for a longer wait than this client was told to accept.

    `limit` is the server's own name for the limit where it gave one, else the problem's code.
    """

    def __init__(self, request: str, status: int, problem: Mapping[str, Any], retry_after: float,
                 max_wait: float, limit: str | None = None) -> None:
        self.max_wait = max_wait
        self.limit = limit or str(problem.get("code") or f"http_{status}")
        super().__init__(request, status, problem, retry_after)

    def _text(self) -> str:
        return (f"{self.request}: the limit {self.limit} ({self.status} {self.code}) asks to wait "
                f"{self.retry_after:.0f} s; at most {self.max_wait:.0f} s are waited: {self.detail}")
