"""A process that asks with pyhunter, whose address alone is changed; see third_party.py."""
from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pyhunter import AsyncPyHunter, PyHunter
from pyhunter.exceptions import HunterApiError, HunterTransportError


def ask(url: str, call: str, key: str, arguments: dict[str, Any]) -> Any:
    """One call, of the client with `async_` before its name or of the other."""
    if call.startswith("async_"):
        return asyncio.run(ask_async(url, call.removeprefix("async_"), key, arguments))
    client = PyHunter(key, max_retries=0)
    client.base_endpoint = url + "/v2/{}"
    return getattr(client, call)(**arguments)


async def ask_async(url: str, call: str, key: str, arguments: dict[str, Any]) -> Any:
    """One call of the asynchronous client."""
    async with AsyncPyHunter(key, max_retries=0) as client:
        client.base_endpoint = url + "/v2/{}"
        return await getattr(client, call)(**arguments)


def end(url: str, call: str, key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """How a call ended."""
    try:
        return {"gave": ask(url, call, key, arguments)}
    except HunterApiError as error:
        return {"raised": "HunterApiError", "message": str(error), "status": error.status_code, "errors": error.error,
                "payload": error.payload}
    except HunterTransportError as error:
        return {"raised": "HunterTransportError", "message": str(error)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(end(sys.argv[1], *json.loads(line))), flush=True)
