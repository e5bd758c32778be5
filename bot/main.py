"""The bot as a command: plan, act, prove, report."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Sequence

from bot.actor import Run, act, open_members
from bot.config import BotConfig, ConfigError, load_config, with_overrides
from bot.errors import BadAnswer, FoyerError, LimitReached, ServerUnreachable
from bot.plan import make_plan
from bot.proof import prove
from bot.report import report_of, summary, write_report

PROVEN, BROKEN, BAD_CONFIG, NO_SERVER, INTERRUPTED = 0, 1, 2, 3, 130


async def run(config: BotConfig, url: str) -> int:
    """Runs the bot against a server, prints the summary and writes the report.

    Arguments: the settings and the server's address (that of the settings is not looked at). Gives the exit
    code: 0 every rule was kept, 1 one was broken or the server refused a step, 2 the report cannot be
    written, 3 the server cannot be reached or a limit asks for too long a wait.
    """
    try:
        return await _run(config, url)
    except ConfigError as failure:
        return _fail(failure, BAD_CONFIG)
    except (ServerUnreachable, LimitReached, BadAnswer) as failure:
        return _fail(failure, NO_SERVER)
    except FoyerError as failure:
        return _fail(failure, BROKEN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bot against a server that is already there.

    Arguments: those of the command line. Gives the exit code. (`run.py bot` can also start a server.)
    """
    try:
        config = read_arguments(arguments)
        if config.base_url is None:
            raise ConfigError("command line: --url: expected a running server's address (or set base_url)")
        return asyncio.run(run(config, config.base_url))
    except ConfigError as failure:
        return _fail(failure, BAD_CONFIG)
    except KeyboardInterrupt:
        return _fail(KeyboardInterrupt("interrupted; what was done stays on the server"), INTERRUPTED)


def read_arguments(arguments: Sequence[str] | None = None) -> BotConfig:
    """Reads the command line and the file it names. Raises ConfigError."""
    parser = argparse.ArgumentParser(prog="bot", description="Tries a Foyer server as many members would.")
    parser.add_argument("config", help="the settings file, such as config/bot.cfg")
    parser.add_argument("--url", help="the server to visit; wins over base_url")
    parser.add_argument("--seed", help="a whole number; the same seed makes the same plan")
    parser.add_argument("--report", help="where to write the report as JSON")
    given = parser.parse_args(arguments)
    return with_overrides(load_config(given.config), url=given.url, seed=given.seed, report=given.report)


async def _run(config: BotConfig, url: str) -> int:
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    plan = make_plan(config.number_of_users, config.max_posts_per_user, config.max_likes_per_user, seed)
    async with open_members(config.number_of_users, url) as members:
        done = Run(plan, seed, members)
        await act(done, config)
        with done.phase("proof"):
            proof = await prove(done, config)
    report = report_of(done, proof)
    print(summary(report), flush=True)
    if config.report is not None:
        write_report(config.report, report)
    return PROVEN if report["proven"] else BROKEN


def _fail(failure: BaseException, code: int) -> int:
    print(f"bot: {failure}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
