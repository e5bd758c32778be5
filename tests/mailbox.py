"""What has arrived at the stand-ins' mail sink."""
from __future__ import annotations

from tests.support import Api, until


async def tokens(api: Api, sandbox: str, to: str, page: str = "confirm") -> list[str]:
    """The tokens of the links to a page that an address has got, newest first."""
    links = [link for letter in await api.letters(sandbox, to) for link in letter["links"]]
    return [link.partition("#token=")[2] for link in links if f"/{page}#token=" in link]


async def token(api: Api, sandbox: str, to: str, page: str = "confirm") -> str:
    """The newest of these tokens; waits for one."""
    return str((await until(lambda: tokens(api, sandbox, to, page)))[0])
