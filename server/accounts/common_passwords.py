"""Passwords that everybody tries first. Only those of eight characters and more: shorter ones are refused anyway."""
from __future__ import annotations

import unicodedata

_WORDS = """
password passw0rd p@ssw0rd p@ssword passwort motdepasse contraseña contrasena wachtwoord
iloveyou sunshine princess football baseball basketball superman batman123 spiderman starwars
trustno1 whatever computer internet michelle jennifer jessica1 danielle victoria elizabeth
charlotte alexander benjamin christian jonathan nicholas samantha stephanie veronica
liverpool arsenal1 chelsea1 manchester barcelona realmadrid juventus ferrari1 mercedes porsche1
dragon12 monkey12 shadow12 master12 hunter12 hunter22 welcome1 welcome123 letmein1 letmein123
qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 asdfghjk asdfghjkl zxcvbnm1 zxcvbnm123 1qaz2wsx
1q2w3e4r 1q2w3e4r5t q1w2e3r4 qazwsxedc qwer1234 asdf1234 zaq12wsx abcd1234 abc12345 abcdefgh
abcdefg1 a1b2c3d4 aa123456 admin123 administrator root1234 test1234 testtest guest123 changeme
default1 temp1234 login123 secret12 secret123 access14 user1234 pass1234 pass123456 mypassword
ilovegod jesus123 blessed1 godisgood angel123 babygirl lovelove love1234 sweetheart butterfly
chocolate cookie12 pokemon1 minecraft fortnite nintendo playstation killer12 fuckyou1 fuckyou2
asshole1 bullshit mustang1 corvette harley12 yamaha12 maverick midnight november december
september october1 february thursday saturday springtime summer12 summer2024 summer2025 winter12
winter2024 winter2025 autumn12 spring12 hello123 hellohello helloworld goodluck freedom1 matrix12
samsung1 nokia123 google12 facebook linkedin microsoft windows1 apple123 ubuntu12 raspberry
12341234 11223344 12344321 87654321 98765432 987654321 0987654321 123123123 123321123 147258369
159753456 741852963 789456123 112233445566 123654789 5201314520 1234qwer 1234abcd 123qweasd
123456aa 123456abc 123456789a a123456789 a12345678 zxcvbnm123 monkey123 dragon123 football1
baseball1 master123 shadow123 superman1 princess1 sunshine1 michael1 jordan23 charlie1 thomas12
"""
_LIST = frozenset(_WORDS.split())
_RUNS = ("0123456789012345678901234567890", "9876543210987654321098765432109", "abcdefghijklmnopqrstuvwxyz",
         "qwertyuiopasdfghjklzxcvbnm", "1234567890-=qwertyuiop")
_ENDINGS = "0123456789!?.*#$@"


def check(password: str) -> str | None:
    """The rule for a new password's field."""
    return "is one of the passwords that everybody tries first" if is_common(password) else None


def is_common(password: str) -> bool:
    """Whether the password is one that is tried first: listed, a run of keys, or few characters repeated."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    stem = folded.rstrip(_ENDINGS)
    return (folded in _LIST or stem in _LIST or stem in ("password", "qwerty", "letmein", "welcome", "admin")
            or len(set(folded)) <= 2 or any(folded in run for run in _RUNS) or _repeats(folded))


def _repeats(text: str) -> bool:
    """Whether the text is a short piece over and over, as in `abcabcabc`."""
    return any(text == (text[:size] * len(text))[:len(text)] for size in range(1, 5))
