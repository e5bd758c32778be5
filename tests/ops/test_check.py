"""`check` finds each invariant that is broken, and nothing in a database that is whole."""
from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.ops import check
from server.people.model import What
from server.storage import postgres_connection
from server.storage.inspection import Place, inspect, place_of
from tests import postgres
from tests.conftest import Serve
from tests.people.house import address, card, number, user
from tests.support import Served, until
from tests.web.hostile import FILE, file_body, upload

ROOT = Path(__file__).resolve().parents[2]
JOB = "INSERT INTO jobs (kind, key, body, state, run_at, created_at"
# Words of the invariant, and a statement that breaks it.
BREAKS: dict[str, str] = {
    "like_count": "UPDATE posts SET like_count = like_count + 1",
    "post of their own": "INSERT INTO likes (post_id, user_id, at) SELECT id, author_id, 1 FROM posts",
    "post_count": "UPDATE users SET post_count = 7 WHERE id = 1",
    "gap": "DELETE FROM events WHERE user_id = 1 AND seq = 1",
    "not given out": "UPDATE events SET seq = 99 WHERE user_id = 1 AND seq = 1",
    "beyond the newest": "UPDATE users SET event_acked = event_seq + 1 WHERE id = 2",
    "without an enrichment": "DELETE FROM enrichments WHERE user_id = 2",
    "open without a job": "UPDATE enrichments SET status = 'queued', answers = answers - 1 WHERE user_id = 1",
    "exactly one answer": "UPDATE enrichments SET requests = requests + 1 WHERE user_id = 1",
    "`enriched` event too": "UPDATE events SET type = 'email_verified' WHERE user_id = 1 AND type = 'enriched'",
    "pending without a job": "UPDATE users SET email_status = 'pending' WHERE id = 1",
    "like by nobody": "UPDATE likes SET user_id = 77",
    "of a member who is gone": "UPDATE sessions SET user_id = 77",
    "names a member who is gone": "UPDATE events SET data = replace(data, '\"id\":2', '\"id\":77')",
    "could not be found": "UPDATE likes SET told = told + 1",
    "without a lease": f"{JOB}) VALUES ('verify_email', '9', '', 'running', 1, 1)",
    "without an end": f"{JOB}) VALUES ('verify_email', '9', '', 'done', 1, 1)",
    "sum of the member's entries": "UPDATE ledger SET balance = balance + 1 WHERE reason = 'inviter_reward'",
    "another cause": "UPDATE ledger SET key = 'invitee:99' WHERE reason = 'invitee_reward'",
    "another cause than": "UPDATE ledger SET key = 'inviter:1:2' WHERE reason = 'inviter_reward'",
    "those of the sign-ups and rewards": "UPDATE inviters SET rewarded = rewarded + 1",
    "those of the sign-ups": "UPDATE inviters SET invited = invited + 1",
    "not counted for its inviter": "DELETE FROM inviters",
    "is not known to have": "DELETE FROM counted_mailboxes",
    "invited themselves": "UPDATE referrals SET inviter_id = invitee_id",
    "without the invitee's reward": "UPDATE referrals SET counted_at = NULL",
    "or the other way round": "DELETE FROM ledger WHERE reason = 'invitee_reward'",
    "a reward that is not due": "UPDATE ledger SET target = 2 WHERE reason = 'inviter_reward'",
    "a reward that is due": "UPDATE inviters SET counted = 5",
    "`referral_credited` event too": "DELETE FROM ledger WHERE reason = 'inviter_reward'",
    "queued without a job": "UPDATE mails SET status = 'queued'",
    "without a verdict": "UPDATE users SET email_wanted = 'new@example.org' WHERE id = 1",
    "bytes of a file": "UPDATE contents SET uses = uses + 1",
    "or nobody's": "INSERT INTO contents (sha256, bytes, uses) SELECT '0', bytes, 0 FROM contents LIMIT 1",
    "without its bytes": "UPDATE file_versions SET size = size + 1",
    "or with others": "UPDATE file_versions SET sha256 = '0'",
    "version or a check of somebody else's": "UPDATE file_versions SET user_id = 2",
    "a check of somebody else's": "UPDATE checks SET user_id = 2",
    "not what its newest version is": "UPDATE files SET name = 'x.py'",
    "what its newest version": "DELETE FROM file_versions WHERE version = 2",
    "its newest version is": "UPDATE files SET version = 1",
    "not that of its newest check": "UPDATE files SET status = 'error'",
    "that of its newest check": "UPDATE checks SET version = 1",
    "its newest check": "DELETE FROM checks",
    "ended without a time": "UPDATE files SET checked_at = NULL",
    "or a check that has ended without": "UPDATE checks SET reason = 'x' WHERE version = 1",
    "check waits without a job": "UPDATE checks SET status = 'pending', finished_at = NULL WHERE version = 1",
    "run at once": "UPDATE checks SET status = 'running'",
    "one `file_checked` event": "DELETE FROM events WHERE type = 'file_checked'",
    "exactly one `file_checked`": "UPDATE events SET data = replace(data, '\"check_id\":2', '\"check_id\":1')",
    "left of a member who": "UPDATE files SET user_id = 77",
    "of a member who is": "UPDATE checks SET user_id = 77",
    "a member who is gone:": "UPDATE file_versions SET user_id = 77",
    "without a job that ends it":
        "INSERT INTO import_runs (schedule, status, started_at) VALUES ('users', 'running', 1)",
    "over without a time":
        "INSERT INTO import_runs (schedule, status, started_at, error) VALUES ('users', 'failed', 1, 'it was down')",
    "failed without a reason":
        "INSERT INTO import_runs (schedule, status, started_at, finished_at) VALUES ('users', 'failed', 1, 2)",
    **{f"has a rule without a link{rest}": f"UPDATE {table} SET person_id = NULL"
       for rest, table in ((", or is", "addresses"), (", or is linked", "cards"))},
    "linked with nobody": "UPDATE addresses SET person_id = 77, link_rule = 'uid'",
    "has a uid": "UPDATE addresses SET uid = 'x' || id WHERE uid IS NULL",
    "something else has none": "UPDATE cards SET uid = NULL WHERE uid IS NOT NULL",
    "half a place": "UPDATE addresses SET latitude = NULL WHERE latitude IS NOT NULL",
    "and a fingerprint": "UPDATE cards SET fingerprint = substr(fingerprint, 1, 31)",
    "a person waits": "UPDATE people SET waits_for_address = 1",
    "does not wait who has not": "UPDATE people SET waits_for_card = 0",
    "while somebody waits for it": "UPDATE cards SET person_id = NULL, link_rule = NULL WHERE uid IS NOT NULL",
    "is not their number": "UPDATE tallies SET n = n + 1 WHERE name = 'addresses coordinates'",
    "not their number": "DELETE FROM cards WHERE uid IS NULL",
    "found by their names": "DELETE FROM person_words WHERE kind = 1",
    "points at a row": "INSERT INTO posts (author_id, title, text, created_at) VALUES (99, 'a', 'b', 1)",
}


IMPORTED: dict[What, list[Any]] = {
    "users": [user(1, 1.5, number(1)), user(2, 2.5)], "addresses": [address(3, 1.5)], "cards": [card(4)]}


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"referrals.inviter_target": "1"})


async def _lived(server: Served) -> Place:
    """A database in which something happened; the server is stopped."""
    api = server.api
    session = await api.sign_up("ada")
    invited = await api.sign_up("bob", referral_code=session["user"]["referral_code"])
    ada, bob = session["access_token"], invited["access_token"]
    post = await api.write_post(ada)
    await api.call("PUT", f"/api/posts/{post['id']}/like", token=bob)
    file = await upload(api, ada)
    await api.call("PATCH", f"/api/files/{file['id']}", token=ada, data=file_body(b""), headers=FILE)

    for what, records in IMPORTED.items():
        taken = server.foyer.importing.take(what, records)
        await server.foyer.database.write(server.foyer.importing.store, what, taken)

    async def quiet() -> bool:
        states = [(await api.get("/api/me/enrichment", token=token)).data["status"] for token in (ada, bob)]
        file = (await api.get("/api/files", token=ada)).data[0]
        return states == ["found", "found"] and file["status"] == "passed"
    await until(quiet)
    await server.stop()
    return place_of(server.settings)


def _run(place: Place) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOYER_")}
    given = {"FOYER_DATABASE_URL": place, "FOYER_AUTH_SECRET": 32 * "x"} if isinstance(place, str) \
        else {"FOYER_DATABASE_URL": f"sqlite:{place}"}
    return subprocess.run([sys.executable, str(ROOT / "run.py"), "check"], capture_output=True, text=True, timeout=30,
                          cwd=ROOT, env={**kept, **given})


async def test_a_whole_database(server: Served) -> None:
    place = await _lived(server)
    before = server.stored()
    done = _run(place)
    assert (done.returncode, done.stderr) == (0, "") and "invariants hold" in done.stdout
    assert server.stored() == before


async def test_beside_a_running_server(server: Served) -> None:
    await server.api.sign_up()
    assert _run(place_of(server.settings)).returncode == 0


def _broken_copy(whole: bytes, folder: Path, statement: str) -> list[str]:
    """What is found in a file after the statement."""
    path = folder / "broken.db"
    path.write_bytes(whole)
    connection = sqlite3.connect(path, isolation_level=None)
    assert connection.execute(statement).rowcount > 0, statement
    connection.close()
    for rest in folder.glob("broken.db-*"):
        rest.unlink()
    return inspect(path, check.broken)


async def _broken_inside(url: str, statement: str) -> list[str]:
    """What is found in a transaction after the statement, with nothing in its way; it is taken back."""
    async with postgres_connection.connected(url) as (connection, tx):
        await connection.execute("BEGIN")
        for row in await tx.all("SELECT conrelid::regclass::text AS t, conname FROM pg_constraint WHERE contype = 'f'"):
            await tx.run(f"ALTER TABLE {row['t']} DROP CONSTRAINT {row['conname']}")
        assert await tx.run(statement) > 0, statement
        return await check.broken(tx)


async def test_each_break_is_found(server: Served, tmp_path: Path) -> None:
    place = await _lived(server)
    whole = place.read_bytes() if isinstance(place, Path) else b""
    for words, statement in BREAKS.items():
        if words != "points at a row":
            lines = _broken_copy(whole, tmp_path, statement) if isinstance(place, Path) \
                else await _broken_inside(place, statement)
            assert any(words in line for line in lines), (words, lines)


async def test_a_broken_one_ends_with_1_and_a_line(server: Served) -> None:
    place = await _lived(server)
    if isinstance(place, Path):
        connection = sqlite3.connect(place, isolation_level=None)
        for words in ("like_count", "points at a row"):
            connection.execute(BREAKS[words])
        connection.close()
    else:  # which lets nobody point at a row that is not there
        postgres.execute(BREAKS["like_count"], place)
    done = _run(place)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert any("like_count" in line and "post 1" in line for line in done.stdout.splitlines())
    assert isinstance(place, str) or any("points at a row of users" in line for line in done.stdout.splitlines())


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be taken for one" * 100])
def test_what_is_no_database_ends_with_2(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.db"
    if content is not None:
        path.write_bytes(content)
    done = _run(path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("foyer: ")
    assert path.exists() == (content is not None)
