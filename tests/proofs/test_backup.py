"""Backups of a server that is being written to: each is whole, holds what had been acknowledged, and can be served."""
from __future__ import annotations

import asyncio
import copy
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from server.storage.restore import LOST_IDS
from tests.proofs.book import Asked, Audit, Book
from tests.proofs.processes import Stage, chance, cycles, pause, spawn, staged
from tests.proofs.test_kill9 import client, loads
from tests.support import Api, frame

ENVIRON = {"FOYER_SANDBOX_MODE": "on"}


@dataclass
class Kept:
    """A copy, what had been acknowledged when it began, and which posts were written to while it was made."""

    file: Path
    book: Book
    disturbed: set[int] = field(default_factory=set)
    line: str = ""


async def command(*arguments: str, file: Path) -> str:
    """Runs a command that must succeed on the database; what it printed."""
    process = await spawn(*arguments, "--database", f"sqlite:{file}")
    printed, _ = await process.handle.communicate()
    assert process.handle.returncode == 0, (arguments, printed.decode())
    return printed.decode()


async def backup(stage: Stage, book: Book, number: int) -> Kept:
    """Makes a backup."""
    file = stage.file.with_name(f"kept-{number}.db")
    begin = Book(members=list(book.members), posts=dict(book.posts), likes=copy.deepcopy(book.likes))
    disturbed = book.touched = set()
    printed = await command("backup", str(file), file=stage.file)
    return Kept(file, begin, disturbed, printed.splitlines()[0])


async def while_it_is_written_to(stage: Stage, book: Book, rng: random.Random) -> tuple[list[Kept], str]:
    """Makes backups while clients write, until the server is killed; those, and the epoch of the server."""
    server, found = await stage.start(), []
    async with client(server) as api, asyncio.TaskGroup() as group:
        writing = [group.create_task(load.run()) for load in loads(api, book, rng)]
        for number in range(cycles(5)):
            await pause(rng.uniform(0.1, 0.5))
            found.append(await backup(stage, book, number))
        word = await epoch(api, book)
        assert not any(task.done() for task in writing), "nobody wrote any more"
        await server.kill()
    return found, word


async def epoch(api: Api, book: Book) -> str:
    """What a socket is told."""
    headers = {"Authorization": f"Bearer {book.members[0].token}"}
    async with api.session.ws_connect(f"{api.url}/ws", headers=headers) as socket:
        return str((await frame(socket, "ready"))["epoch"])


async def judge(api: Api, kept: Kept) -> None:
    """All that had been acknowledged is there; and who likes what, where nobody changed it meanwhile."""
    audit, book = Audit(api, kept.book), kept.book
    await audit._members(book.members)
    posts = {post["id"]: post for post in await audit.listed("/api/posts")}
    for id_, (author, title) in book.posts.items():
        assert (posts[id_]["author"]["id"], posts[id_]["title"]) == (author.id, title)
        if id_ not in kept.disturbed:
            await audit._post(id_, posts[id_])
    for member in book.members[::3]:
        await audit.events(member)


async def serve(stage: Stage, kept: Kept) -> str:
    """Serves what was restored, and writes to it; its epoch."""
    server = await stage.start()
    async with client(server) as api:
        await judge(api, kept)
        member = kept.book.members[0]
        asked = Asked("/api/posts", {"title": "A title", "text": "Some text"}, "", member)
        answer = await api.post(asked.path, asked.body, token=member.token)
        assert answer.data["id"] > LOST_IDS, "an id may have been given out before"
        word = await epoch(api, kept.book)
    assert await server.terminate() == 0
    await stage.check()
    assert not stage.complaints()
    return word


async def elsewhere(tmp_path: Path, stage: Stage, kept: Kept) -> str:
    """Restores into another folder, beside the key that belongs to it."""
    folder = tmp_path / kept.file.stem
    folder.mkdir()
    shutil.copy(stage.file.with_name("foyer.key"), folder)
    await command("check", file=kept.file)
    async with staged(folder, ENVIRON) as other:
        await command("restore", str(kept.file), file=other.file)
        return await serve(other, kept)


async def in_its_place(stage: Stage, kept: Kept, book: Book) -> list[str]:
    """Restores over the database as the kill has left it; then back again to that."""
    await command("restore", str(kept.file), "--force", file=stage.file)
    words = [await serve(stage, kept)]
    before = next(stage.file.parent.glob("*.before-restore-*"))
    await command("restore", str(before), "--force", file=stage.file)
    return [*words, await serve(stage, Kept(before, book))]


@pytest.mark.long
@pytest.mark.sqlite
async def test_backups_under_load(tmp_path: Path) -> None:
    rng, book = chance(), Book()
    async with staged(tmp_path, ENVIRON) as stage:
        found, first = await while_it_is_written_to(stage, book, rng)
        epochs = [first, *[await elsewhere(tmp_path, stage, kept) for kept in found[1:]],
                  *await in_its_place(stage, found[0], book)]
    assert len(set(epochs)) == len(found) + 2
    acknowledged = [len(kept.book.posts) for kept in found]
    assert acknowledged == sorted(set(acknowledged)) and all(kept.disturbed for kept in found)
    print(f"{book.line()}; posts when each backup began: {acknowledged}, in the end {len(book.posts)}")
    for kept in found:
        print(kept.line)
