"""The clients of the outside services, opened as the settings say; stand-ins take the place of some."""
from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.core import units
from server.ops import health
from server.providers.clearbit import Clearbit
from server.providers.flake8 import Cell
from server.providers.gravatar import Gravatar
from server.providers.http import ProviderHttp
from server.providers.hunter import Hunter
from server.providers.mail import Mail, sender_address
from server.providers.randomdata import RandomData
from server.settings import Settings

if TYPE_CHECKING:
    from server.sandbox.app import Sandbox


@dataclass(frozen=True, slots=True)
class Outside:
    """The clients of the outside services; None for one that is not configured."""

    hunter: Hunter | None = None
    clearbit: Clearbit | None = None
    gravatar: Gravatar | None = None
    stand_ins: tuple[str, ...] = ()
    mail: Mail | None = None
    cell: Cell | None = None
    randomdata: RandomData | None = None

    def described(self) -> dict[str, health.Describes]:
        """Those whose state operators want to see, by name."""
        found: dict[str, health.Describes | None] = {
            "hunter": self.hunter, "clearbit": self.clearbit, "gravatar": self.gravatar,
            "randomdata": self.randomdata, "mail": self.mail, "flake8": self.cell}
        return {name: client for name, client in found.items() if client is not None}

    def wanted(self) -> dict[str, health.Describes | None]:
        """The same, with those that only wait for their key or address."""
        return {"hunter": None, "clearbit": None, "mail": None, **self.described()}


async def opened(settings: Settings, stack: AsyncExitStack, jobs: bool) -> tuple[Outside, Sandbox | None]:
    """The clients, and the stand-ins if there are any; `stack` closes them. `jobs`: whether work is done here."""
    http = ProviderHttp()
    await stack.enter_async_context(http)
    names = tuple(name for name in ("hunter", "clearbit", "gravatar", "randomdata", "mail") if settings.stand_in(name))
    stand_ins = None
    if names:
        from server.sandbox.app import start as start_sandbox  # only here: it brings a mail server and a people's maker
        stand_ins = await start_sandbox()
        stack.push_async_callback(stand_ins.close)
    return Outside(_hunter(settings, http, stand_ins), _clearbit(settings, http, stand_ins),
                   _gravatar(settings, http, stand_ins), names, _mail(settings, stand_ins),
                   _cell(settings) if jobs else None, _randomdata(settings, http, stand_ins)), stand_ins


def _hunter(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Hunter | None:
    if stand_ins is not None and settings.stand_in("hunter"):
        return Hunter(http, f"{stand_ins.url}/hunter", "stand-in", paced=False)
    given = settings.hunter
    return Hunter(http, given.url, given.api_key, paced=True) if given.api_key else None


def _clearbit(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Clearbit | None:
    if stand_ins is not None and settings.stand_in("clearbit"):
        return Clearbit(http, f"{stand_ins.url}/clearbit", "stand-in", paced=False)
    given = settings.clearbit
    return Clearbit(http, given.url, given.api_secret, paced=True) if given.api_secret else None


def _gravatar(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Gravatar | None:
    if stand_ins is not None and settings.stand_in("gravatar"):
        return Gravatar(http, f"{stand_ins.url}/gravatar", "stand-in", paced=False)
    given = settings.gravatar
    return Gravatar(http, given.url, given.api_key, paced=True) if "gravatar" in settings.enrichment.providers else None


def _randomdata(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> RandomData:
    stood_in = stand_ins is not None and settings.stand_in("randomdata")
    url = f"{stand_ins.url}/randomdata" if stand_ins is not None and stood_in else settings.randomdata.url
    return RandomData(http, url)


def _mail(settings: Settings, stand_ins: Sandbox | None) -> Mail | None:
    stood_in = stand_ins is not None and settings.stand_in("mail")
    url = stand_ins.smtp_url if stand_ins is not None and stood_in else settings.mail.url
    return Mail(units.mail_server(url), sender_address(settings)) if url else None


def _cell(settings: Settings) -> Cell:
    return Cell(settings.checks.seconds, settings.checks.memory, settings.checks.concurrency)
