"""The whole bot against the fake server: exit codes, summary, report."""

import dataclasses
import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.config import BotConfig
from bot.main import main, read_arguments, run
from bot.plan import make_plan
from tests.bot.fake_server import Canned, FakeServer, problem

CONFIG = BotConfig(6, 4, 3, seed=5)


async def report_of(config: BotConfig, url: str, folder: Path) -> tuple[int, dict[str, Any]]:
    path = folder / "report.json"
    code = await run(dataclasses.replace(config, report=str(path)), url)
    return code, json.loads(path.read_text())


async def test_an_honest_server_is_proven(fake: FakeServer, url: str, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    code, report = await report_of(CONFIG, url, tmp_path)
    plan = make_plan(6, 4, 3, 5)
    assert code == 0 and report["proven"] is True and all(report["proof"].values())
    assert (report["members"], report["posts"], report["likes"]) == (6, sum(plan.posts), len(plan.likes))
    assert (report["stopped"], report["seed"], report["enriched"]) == (plan.stopped, 5, {"found": 6})
    assert set(report["seconds"]) == {"sign_up", "posts", "likes", "proof"}
    assert [fake.acked[name] for name in fake.names] == [1] * 6
    shown = capsys.readouterr()
    assert plan.stopped in shown.out and "kept   order_of_likers" in shown.out and shown.err == ""


async def test_the_same_seed_may_visit_the_same_server_again(fake: FakeServer, url: str) -> None:
    assert await run(CONFIG, url) == await run(CONFIG, url) == 0
    assert len(set(fake.names)) == 12
    texts = [post["text"] for post in fake.posts]
    half = len(texts) // 2
    assert half > 0 and sorted(texts[:half]) == sorted(texts[half:])


async def test_a_seed_is_chosen_and_told(url: str, tmp_path: Path) -> None:
    seeds = {(await report_of(BotConfig(2, 2, 2), url, tmp_path))[1]["seed"] for _ in range(2)}
    assert len(seeds) == 2


async def test_a_server_that_forgets_a_like(fake: FakeServer, url: str, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    forget: Canned = lambda _: web.json_response({"data": fake.shown(fake.posts[0])})  # noqa: E731
    for number in range(1, 20):
        fake.canned[f"PUT /api/posts/{number}/like"] = deque([forget])
    code, report = await report_of(CONFIG, url, tmp_path)
    assert code == 1 and not report["proven"] and not report["proof"]["like_counts_agree"]
    assert "BROKEN like_counts_agree" in capsys.readouterr().out


async def test_enrichment_that_takes_longer(fake: FakeServer, url: str, tmp_path: Path) -> None:
    fake.enrich = "queued"
    code, report = await report_of(dataclasses.replace(CONFIG, enrich_timeout=0.05), url, tmp_path)
    assert code == 0 and report["enriched"] == {"none": 6}


async def test_a_limit_ends_the_run_by_name(fake: FakeServer, url: str,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    refusal: Canned = lambda _: problem(429, "rate_limited", **{"Retry-After": "3600"})  # noqa: E731
    fake.canned["POST /api/signup"].extend([refusal] * 9)
    assert await run(CONFIG, url) == 3
    error = capsys.readouterr().err
    assert "rate_limited" in error and error.count("\n") == 1


async def test_a_refused_step_ends_the_run(fake: FakeServer, url: str,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    fake.canned["POST /api/posts"].extend([lambda _: problem(403, "email_unconfirmed")] * 9)
    assert await run(CONFIG, url) == 1
    assert "email_unconfirmed" in capsys.readouterr().err


def test_no_server(unused_tcp_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.transport.Backoff.next", lambda self: 0.0)
    assert main([written(tmp_path), "--url", f"http://127.0.0.1:{unused_tcp_port}"]) == 3
    assert "cannot be reached" in capsys.readouterr().err


def test_a_bad_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([written(tmp_path, "colour = red")]) == 2
    assert main([written(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "colour" in lines[0] and "--url" in lines[1]


def test_the_command_line(tmp_path: Path) -> None:
    config = read_arguments([written(tmp_path), "--url", "http://a", "--seed", "9"])
    assert config == BotConfig(2, 1, 1, "http://a", 9)


def written(folder: Path, extra: str = "") -> str:
    path = folder / "bot.cfg"
    path.write_text(f"[bot]\nnumber_of_users = 2\nmax_posts_per_user = 1\nmax_likes_per_user = 1\n{extra}\n")
    return str(path)
