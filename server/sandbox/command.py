"""`run.py sandbox`: the stand-ins alone, for a server that runs elsewhere or for trying a client."""
from __future__ import annotations

import asyncio
import signal

from server.core import log as logs
from server.core.errors import ConfigError
from server.sandbox.app import start


async def run(host: str, port: int) -> None:
    """Serves the stand-ins until SIGTERM or SIGINT; prints the settings that point a server at them."""
    logs.set_up("text")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        sandbox = await start(host, port)
    except OSError as error:
        raise ConfigError(f"--port: cannot listen on {host}:{port}: {error.strerror}") from None
    print(settings_lines(sandbox.url, sandbox.smtp_url), flush=True)
    try:
        await stop.wait()
    finally:
        await sandbox.close()


def settings_lines(url: str, smtp_url: str) -> str:
    """The lines of config/server.cfg that point a server at the stand-ins.

    Any key will do that does not begin with `bad`.
    """
    return (f"# The stand-ins are ready at {url}\n"
            f"[hunter]\nurl = {url}/hunter\napi_key = stand-in\n\n"
            f"[clearbit]\nurl = {url}/clearbit\napi_secret = stand-in\n\n"
            f"[randomdata]\nurl = {url}/randomdata\n\n"
            f"# What arrives is shown at {url}/mail\n"
            f"[mail]\nurl = {smtp_url}\n\n"
            f"# Asked when `providers` of [enrichment] names it.\n"
            f"[gravatar]\nurl = {url}/gravatar\napi_key = stand-in")
