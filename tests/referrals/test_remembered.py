"""The cookie that remembers a code: only what we have signed is believed."""
from __future__ import annotations

import pytest

from server.core.clock import DAY
from server.referrals.remembered import SECONDS, Remembered

CODE = "abc234xyz9"
ours = Remembered(b"the key of this server")


def test_what_was_signed_comes_back() -> None:
    assert ours.code(ours.value(CODE)) == CODE and 1000 * SECONDS == 30 * DAY
    assert ours.value(f" {CODE.upper()} ") == ours.value(CODE)


def test_it_can_stand_in_a_cookie() -> None:
    assert set(ours.value(CODE)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@pytest.mark.parametrize("code", ["", " ", "a.b", "a;b", "a\r\nSet-Cookie: x=y", "\0", "é", "\u212a", "a" * 41, "a b",
                                  "a="])
def test_what_can_be_no_code_is_not_signed(code: str) -> None:
    assert ours.value(code) == ""


@pytest.mark.parametrize("at", range(len(ours.value(CODE))))
def test_one_changed_letter_is_noticed(at: int) -> None:
    value = ours.value(CODE)
    for letter in "aB2.":
        changed = value[:at] + letter + value[at + 1:]
        # The last letter has bits that stand for nothing; the signature is compared as it is written all the same.
        assert changed == value or ours.code(changed) is None


@pytest.mark.parametrize("cut", range(len(ours.value(CODE))))
def test_a_cut_one_is_noticed(cut: int) -> None:
    assert ours.code(ours.value(CODE)[:cut]) is None


@pytest.mark.parametrize("cookie", [None, "", ".", "..", CODE, f"{CODE}.", f".{CODE}", "é.é", "\0.\0", "a" * 10_000,
                                    Remembered(b"another key").value(CODE), Remembered(b"").value(CODE),
                                    ours.value(CODE) + "=", ours.value(CODE) + "a", " " + ours.value(CODE),
                                    ours.value(CODE).replace(CODE, CODE.upper()),
                                    ours.value(CODE).replace(".", "\udcff"), f"{CODE}.\udcff"])
def test_a_forged_one_is_none(cookie: str | None) -> None:
    assert ours.code(cookie) is None
