"""A server whose passwords are hashed for nothing, for `tests.bench.signups`: what is left is what a sign-up writes."""
from __future__ import annotations

import sys

from server.accounts.passwords import Hasher
from server.cli import main


async def _hash(self: Hasher, password: str) -> str:
    return "no hash"


if __name__ == "__main__":
    Hasher.hash = _hash  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
