"""The public client against a real server: members, and one who leaves."""

from typing import Any

import pytest

from bot.client import FoyerClient
from bot.errors import ApiError
from tests.support import PASSWORD, Served


async def test_a_public_profile(server: Served) -> None:
    await server.api.sign_up("Ada.L-1_x", bio="A bio", title="Countess")
    async with FoyerClient(server.url) as stranger:
        user = await stranger.user("ada.l-1_X")
        assert (user.username, user.bio, user.title, user.post_count) == ("Ada.L-1_x", "A bio", "Countess", 0)
        assert user.created_at is not None and not hasattr(user, "email")
        for name in ("nobody", "a/b", "..", "ada?x=1", "\u0130", ""):
            with pytest.raises(ApiError) as caught:
                await stranger.user(name)
            assert caught.value.status == 404, name


async def test_all_members_to_the_last_page(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.client._PAGE", 2)
    names = ["ada", "adam", "bob", "Adele", "eve"]
    for name in names:
        await server.api.sign_up(name)
    async with FoyerClient(server.url) as stranger:
        assert [user.username async for user in stranger.users()] == names[::-1]
        assert [user.username async for user in stranger.users("AD")] == ["ada", "adam", "Adele"]


async def test_an_export_and_the_end(server: Served) -> None:
    async with FoyerClient(server.url) as ada:
        await ada.sign_up("ada", "ada@example.org", PASSWORD)
        await ada.create_post("Hello", "It is me.")
        export: dict[str, Any] = await ada.export()
        assert export["profile"]["username"] == "ada" and export["posts"][0]["title"] == "Hello"
        with pytest.raises(ApiError) as caught:
            await ada.delete_me("wr0ng-horse")
        assert caught.value.code == "wrong_password"
        await ada.delete_me(PASSWORD)
        for call in (ada.me(), ada.user("ada"), ada.login("ada", PASSWORD)):
            with pytest.raises(ApiError) as caught:
                await call
            assert caught.value.status in (401, 404)
