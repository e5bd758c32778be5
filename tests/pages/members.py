"""Members at their pages."""
from __future__ import annotations

from tests.pages.browser import Page
from tests.support import PASSWORD, Api

REFRESH = "/api/token/refresh"
NOBODY = (REFRESH, 422)  # what a page is told that looks for a session where there is none


async def sign_in(page: Page, path: str, name: str = "ada") -> None:
    """Opens a page that leads to the sign-in, signs in, and is led back."""
    page.refusals.append(NOBODY)
    await page.open(path)
    await page.sees("h1", "Sign in")
    await page.fill(username=name, password=PASSWORD)
    await page.press(".send")
    await page.arrives(path.partition("#")[0])


async def named(api: Api, username: str, name: str) -> str:
    """Signs somebody up who has a name; the access token."""
    body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD, "name": name}
    return str((await api.post("/api/signup", body)).data["access_token"])
