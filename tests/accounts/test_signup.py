from tests.support import Served, frame


async def test_sign_up_is_enriched_and_told(server: Served) -> None:
    session = await server.api.sign_up("ada")
    assert session["user"]["username"] == "ada"
    socket = await server.socket(session["access_token"])
    await frame(socket, "ready")
    enriched = await frame(socket, "enriched")
    assert enriched["data"]["status"] == "found"
    await socket.close()
