"""A server in a process of its own with other limits: `python -m tests.web.impatient '{"body": 0.3}' SETTINGS`."""
from __future__ import annotations

import json
import sys

import uvloop

from server import settings
from server.serve import serve
from server.web.patience import Patience


def main(patience: str, database: str) -> None:
    """Serves until SIGTERM."""
    given = {"server.port": "0", "auth.bcrypt_cost": "4", "limits.enabled": "no", **json.loads(database)}
    overrides = {(section, key): value for name, value in given.items() for section, _, key in (name.partition("."),)}
    work = serve(settings.load(environ={}, overrides=overrides), Patience(**json.loads(patience)))
    uvloop.run(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
