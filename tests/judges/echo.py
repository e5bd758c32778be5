"""`python -m tests.judges.echo CASES...` has kosoku judge an echo on the settings of /ws; prints the verdicts as JSON.

A process of its own, because kosoku changes `binascii` and `sys.path` of the interpreter it runs in, and because the
server's loop is uvloop's and the tests' is not.
"""
from __future__ import annotations

import json
import os
import sys

import uvloop
from aiohttp import WSMsgType, web
from kosoku import FailureError, run_fuzzingclient

from server.web.protocol import Runner
from ws.connection import unopened

MOST = 64 * 1024 * 1024  # the cases 9.* send up to 16 MiB; the limit of /ws has its own tests
CONCURRENCY = 8
DEFLATE = ["12.*", "13.*"]  # permessage-deflate, which /ws does not offer


async def echo(request: web.Request) -> web.StreamResponse:
    """Sends back what comes."""
    socket = unopened(MOST + 1)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def judge(cases: list[str]) -> dict[str, list[str]]:
    """The verdicts on the messages and on the closing, by case; all cases when none is named."""
    app = web.Application()
    app.router.add_get("/", echo)
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        results = await run_fuzzingclient(f"ws://127.0.0.1:{runner.addresses[0][1]}", cases or None, DEFLATE,
                                          concurrency=CONCURRENCY)
    except FailureError as failure:
        results = failure.results
    finally:
        await runner.cleanup()
    return {result.case_id: [result.behavior.value, result.behavior_close.value] for result in results}


def main() -> None:
    """Judges, prints, and is gone."""
    print(json.dumps(uvloop.run(judge(sys.argv[1:]))), flush=True)
    os._exit(0)  # kosoku's threads now and then abort an interpreter that is finalised


if __name__ == "__main__":
    main()
