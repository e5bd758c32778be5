"""The settings file and the command line: what is read, and the one line about what cannot be."""

from pathlib import Path

import pytest

from bot.config import BotConfig, ConfigError, load_config, with_overrides

GOOD = "[bot]\nnumber_of_users = 10\nmax_posts_per_user = 5\nmax_likes_per_user = 10\n"


def written(folder: Path, text: str) -> str:
    path = folder / "bot.cfg"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_file_that_is_shipped() -> None:
    path = Path(__file__).parents[2] / "config" / "bot.cfg"
    assert load_config(str(path)) == BotConfig(10, 5, 10)


def test_everything_set(tmp_path: Path) -> None:
    text = GOOD + f"base_url = https://foyer.example/\nseed = -3\nconcurrency = 1\nenrich_timeout = 0.5\n" \
                  f"report = {tmp_path}/report.json\n"
    assert load_config(written(tmp_path, text)) == BotConfig(
        10, 5, 10, "https://foyer.example", -3, 1, 0.5, f"{tmp_path}/report.json")


@pytest.mark.parametrize("text, key, expected", [
    ("", "[bot]", "missing"),
    ("[bots]\n", "[bots]", "expected [bot]"),
    ("[DEFAULT]\nseed = 1\n" + GOOD, "[DEFAULT]", "expected [bot]"),
    (GOOD + "[other]\n", "[other]", "unknown section"),
    (GOOD + "colour = red\n", "colour", "expected one of number_of_users"),
    (GOOD + "colour =\n", "colour", "unknown key"),
    ("[bot]\nmax_posts_per_user = 5\nmax_likes_per_user = 10\n", "number_of_users", "number from 1 to"),
    (GOOD.replace("= 5", "="), "max_posts_per_user", "a whole number from 0 to"),
    (GOOD.replace("= 5", "= five"), "max_posts_per_user", "not 'five'"),
    (GOOD.replace("= 5", "= 1_0"), "max_posts_per_user", "a whole number"),
    (GOOD.replace("= 5", "= \u0665"), "max_posts_per_user", "a whole number"),
    (GOOD.replace("users = 10", "users = 0"), "number_of_users", "from 1 to"),
    (GOOD.replace("likes_per_user = 10", "likes_per_user = -1"), "max_likes_per_user", "from 0 to"),
    (GOOD + "seed = 1.5\n", "seed", "a whole number"),
    (GOOD + "seed = 99999999999999999999\n", "seed", "a whole number"),
    (GOOD + "concurrency = 0\n", "concurrency", "from 1 to 256"),
    (GOOD + "enrich_timeout = 0\n", "enrich_timeout", "above 0"),
    (GOOD + "enrich_timeout = nan\n", "enrich_timeout", "a number of seconds"),
    (GOOD + "enrich_timeout = 1 h\n", "enrich_timeout", "a number of seconds"),
    (GOOD + "base_url = ftp://example.org\n", "base_url", "an http or https address"),
    (GOOD + "base_url = http://\n", "base_url", "an http or https address"),
    (GOOD + "base_url = http://a:99999\n", "base_url", "an http or https address"),
    (GOOD + "base_url = http://[\n", "base_url", "an http or https address"),
    (GOOD + "base_url = http://a/?b\n", "base_url", "an http or https address"),
    (GOOD + "report = no/such/folder/report.json\n", "report", "a folder that exists"),
    (GOOD + "seed = 1\nseed = 2\n", "seed", "expected once"),
    (GOOD + GOOD, "[bot]", "expected once"),
    (GOOD + "nonsense\n", "nonsense", "key = value"),
    ("number_of_users = 10\n", "number_of_users", "expected [bot]"),
])
def test_an_unusable_file_is_told_in_one_line(tmp_path: Path, text: str, key: str, expected: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(path) and key in line and expected in line


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path / "missing.cfg"))
    (tmp_path / "latin.cfg").write_bytes(b"[bot]\nreport = \xe9\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(str(tmp_path / "latin.cfg"))


def test_the_command_line_wins() -> None:
    config = BotConfig(1, 1, 1, "http://a", 1, report="a.json")
    assert with_overrides(config) == config
    assert with_overrides(config, url="http://b/", seed="2", report="b.json") == BotConfig(
        1, 1, 1, "http://b", 2, report="b.json")
    assert with_overrides(config, seed=0).seed == 0


@pytest.mark.parametrize("option, given", [("url", "nowhere"), ("url", ""), ("seed", "x"), ("report", "")])
def test_an_unusable_option_is_named(option: str, given: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option}: expected"):
        with_overrides(BotConfig(1, 1, 1), **{option: given})  # type: ignore[arg-type]
