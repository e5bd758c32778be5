"""Every SQL statement of the program: no scan of a table that grows, no sorting where an index could give the order,
arguments that fit, none that is not used, none that is put together from values."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from server.storage import dialect
from server.storage.postgres import open_postgres
from tests import postgres
from tests.storage.filled import SMALL, Filled
from tests.storage.statements import DATA, ROOT, Statement, sites, sources, statements

# Commands that the operator runs look through everything, as is their purpose; none of it runs inside of a server.
OFFLINE = {
    "server/ops/check.py": "`check` proves what holds of all rows, on a connection of its own that only reads",
    "server/storage/verification.py": "`backup` and `restore` count what they have copied",
    "server/storage/inspection.py": "the first look into a file, at its table of tables",
    "server/storage/copying.py": "`copy` reads everything",
}
# What only one of the two databases is ever told.
ONLY_SQLITE = {
    "server/storage/copying.py": "LAST_ID FORGET_LAST_ID KEEP_LAST_ID",
    "server/storage/inspection.py": "'SELECT EXISTS (SELECT 1 FROM sqlite_master)' IS_OURS",
    "server/storage/restore.py": "NEW_EPOCH SKIP_IDS",
    "server/storage/sqlite.py": "HAS_META",
}
ONLY_POSTGRES = {
    "server/storage/channel.py": "NOTIFY",
    "server/storage/copying.py": "LAST_OF_SEQUENCE SET_SEQUENCE",
    "server/storage/postgres.py": "LOCK LOCK_SCHEMA TRY_LOCK_SCHEMA BYTES TABLES IS_OURS",
    "server/storage/postgres_connection.py": "SERVERS",
}
# Where PostgreSQL needs other words. Each more is one more that may come to mean something else.
SAID_DIFFERENTLY = {
    "server/accounts/queries.py: HOLD_USER": "the row is locked",
    "server/audit/log.py: HOLD_MEMBER": "the row is locked",
    "server/files/queries.py: HOLD_FILE": "the row is locked",
    "server/jobs/schedules.py: HOLD_SCHEDULE": "the row is locked",
    "server/files/queries.py: HOLD_MEMBER": "the row is locked",
    "server/jobs/queue.py: CLAIM": "two workers pass each other by",
    "server/ops/administrators.py: FIND_MEMBER": "the row is locked",
    "server/ops/check.py: INVARIANTS[14][1]": "it looks into JSON",
    "server/ops/check.py: INVARIANTS[15][1]": "it looks into JSON",
    "server/ops/check.py: INVARIANTS[38][1]": "it looks into JSON",
    "server/people/storing.py: EMBED_CARDS": "the kind of the argument",
    "server/people/storing.py: PUT_CARDS": "the kind of the argument",
    "server/posts/queries.py: HOLD_LIKES_OF": "the rows are locked",
    "server/posts/queries.py: HOLD_POST": "the row is locked",
    "server/posts/queries.py: INSERT_LIKE": "the author's row is locked",
    "server/referrals/queries.py: HOLD_INVITER": "the row is locked",
    "server/referrals/queries.py: HOLD_MEMBER": "the row is locked",
}
# Scans that are bounded by something else than the size of the table.
SCANS = {
    **{(f"server/admin/stats.py: COUNTS['{what}']", scan): "only its first 100 000 rows, as the LIMIT says"
       for what, scan in (("members", "users by users_referral_code"), ("posts", "posts by posts_by_author"),
                          ("likes", "likes by likes_of_post"))},
    ("server/admin/stats.py: LAST_BACKUP", "backups by backups_good"): "the LIMIT ends it at the newest row",
    **{(f"server/admin/job_queries.py: {name}", scan): "as many as the LIMIT says, of those in the index"
       for name, scan in (("COUNT_READY", "jobs by jobs_due"), ("COUNT_RUNNING", "jobs by jobs_running"),
                          ("LIST_READY", "jobs by jobs_due"), ("LIST_RUNNING", "jobs by jobs_running"))},
    ("server/events/log.py: FIND_PRUNABLE", "events"): "only its first rows, up to the LIMIT",
    ("server/events/log.py: FIND_PRUNABLE", "u by users_acknowledged"):
        "only members who acknowledged something since they were last pruned are in the index",
    ("server/jobs/queue.py: FREE_ALL", "jobs by jobs_running"): "only what is being worked on is in the index",
    ("server/jobs/queue.py: RELEASE", "jobs by jobs_running"): "only what is being worked on is in the index",
    ("server/jobs/queue.py: COUNT_JOBS", "jobs by jobs_due"): "only what waits is in the index, and is to be counted",
    ("server/jobs/queue.py: COUNT_JOBS", "jobs by jobs_running"): "only what is being worked on is in the index",
    ("server/jobs/queue.py: COUNT_JOBS", "jobs by jobs_failed"): "only what failed this week is in the index",
    ("server/ops/backups.py: LAST_GOOD", "backups by backups_good"): "the LIMIT ends it at the newest row",
    **{(name, "users by users_administrators"): "only administrators are in the index" for name in (
        "server/ops/administrators.py: COUNT_ADMINISTRATORS", "server/people/runs.py: ADMINISTRATORS")},
    ("server/referrals/queries.py: NEWEST_CURRENCY", "ledger"): "the LIMIT ends it at the newest row",
    **{(f"server/people/linking.py: WAITING['{what}']", f"people by people_without_{one}"): "the LIMIT ends it"
       for what, one in (("addresses", "address"), ("cards", "card"))},
    ("server/storage/restore.py: HAS_MEMBERS", "users by users_referral_code"): "EXISTS ends it at the first row",
}
SORTS = {
    "server/events/log.py: FIND_PRUNABLE": "at most 40 rows for each member who may be pruned at once",
    "server/jobs/queue.py: COUNT_JOBS": "what is being worked on, by kind",
    "server/posts/queries.py: FEED['likes_of']":
        "the posts of one author; an index for it would be a third one to change with every like",
}
# `*arguments` whose number no syntax tree tells: how many they are.
STARRED = {
    ("INSERT_USER", "*user.profile"): 8,
    ("UPDATE_PROFILE", "*fields.values()"): 8,
    ("FILL_PROFILE", "*_values(new)"): 7,
    ("CLEAR_PROFILE", "*_values(msgspec.json.decode(row['filled'], type=dict[str, str]))"): 7,
    ("READ_LIKERS", "*before"): 2,
    **{(f"FEED['{order}']", "*page.args"): 3 + more for order, more in (
        ("new", 0), ("unliked", 0), ("likes", 1), ("new_of", 1), ("unliked_of", 1), ("likes_of", 2))},
    **{(f"{name}['{of}']", "*who"): of != "all" for name in ("WINDOW", "LIST_AUDIT") for of in (
        "all", "member", "actor")},
}
# Given to a Tx by something else than a name or a text that stands there.
UNRESOLVED = {
    "server/storage/schema.py: create": "the statements of schema.sql, one by one",
    "server/storage/copying.py: _fill": "how many rows the table has",
    "server/storage/copying.py: _last_ids": "the highest id of the table",
}
# Given to a driver likewise.
UNRESOLVED_RAW = {
    "server/storage/sqlite.py": {"_numbered(sql)"},  # the four of SqliteTx
    "server/storage/postgres.py": {"dialect.postgres(sql)", "begin"},  # the four of PostgresTx, and how it begins
    "server/storage/postgres_connection.py": {"begin"},
    "server/storage/copying.py": {"table.read", "table.insert", "postgres.BEGIN_READ", "truncate(tables())",
                                  "BATCH"},  # so many rows of a cursor
}
TRANSLATED = ("_numbered(sql)", "dialect.postgres(sql)", "translated(statement)", "truncate(tables())")
# A PRAGMA takes no parameters, and the names of tables and columns are none; nothing in these comes from outside.
PUT_TOGETHER = re.compile(r"server/storage/\w+\.py: \w+: f'PRAGMA \S+'|server/storage/tables\.py: \w+: f['\"].*")
STATEMENTS = {each.name: each for each in statements() if DATA.match(each.sql)}


def parts() -> set[str]:
    """Constants that are no statements yet: others begin with them."""
    found = set()
    for source in sources():
        made_of = source.made_of()
        found |= {f"{source.file}: {node.id}" for value in made_of.values() for node in ast.walk(value)
                  if isinstance(node, ast.Name) and node.id in made_of and node.id.startswith("_")}
    return found


WHOLE = {name: each for name, each in STATEMENTS.items() if name not in parts()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The database as a server has it: SQLite knows nothing of how the rows are distributed."""
    made = Filled(tmp_path_factory.mktemp("filled") / "foyer.db")
    yield made
    made.raw.close()


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The database after somebody ran ANALYZE."""
    made = Filled(tmp_path_factory.mktemp("analysed") / "foyer.db")
    made.raw.execute("ANALYZE")
    yield made
    made.raw.close()


def test_they_are_all_found() -> None:
    assert len(WHOLE) >= 100
    source = "".join(path.read_text() for room in ("server", "ws", "bot") for path in (ROOT / room).rglob("*.py"))
    # As many as a plain search finds, so that the syntax tree cannot be read wrongly without notice.
    assert len(re.findall(r"\btx\.(?:one|all|value|run)\(", source)) == sum(not site.raw for site in sites())


def test_every_one_that_is_executed_is_known() -> None:
    unknown = {site.place: site.given for site in sites() if not site.raw and not site.texts}
    assert set(unknown) == set(UNRESOLVED), unknown


def test_the_driver_is_used_by_the_storage_only() -> None:
    raw = [site for site in sites() if site.raw]
    assert raw and all(site.file.startswith("server/storage/") for site in raw)
    unknown: dict[str, set[str]] = {}
    for site in raw:
        if not site.texts:
            unknown.setdefault(site.file, set()).add(site.given)
    assert unknown == UNRESOLVED_RAW, "all the rest goes through the four of a Tx"


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_its_placeholders_are_numbered_without_a_hole(name: str) -> None:
    numbers = WHOLE[name].placeholders
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_it_is_used_and_gets_its_arguments(name: str) -> None:
    statement = WHOLE[name]
    assert statement.sites, "nobody executes it"
    for site in statement.sites:
        if not site.raw:
            starred = sum(STARRED[name.rpartition(" ")[2], source] for source in site.starred)
            assert site.plain + starred == len(statement.placeholders), site.place
        else:
            assert site.literal and statement.sql.count("?") + len(statement.placeholders) == site.plain == 1, \
                f"{site.place}: the driver's own way"


def test_the_starred_ones_are_still_there() -> None:
    found = {(name.rpartition(" ")[2], source) for name, statement in WHOLE.items() for site in statement.sites
             for source in site.starred}
    assert found == set(STARRED)


def test_none_is_put_together_from_values() -> None:
    spot = {f"{site.place}: {site.given}" for site in sites() if not site.literal and site.given not in TRANSLATED}
    inside = {place for source in sources() for place in source.put_together()}
    assert spot and not {place for place in spot | inside if not PUT_TOGETHER.fullmatch(place)}


def test_constants_are_made_of_constants() -> None:
    for source in sources():
        made_of = source.made_of()
        for name in {place.partition("[")[0] for place in source.constants()}:
            odd = [ast.unparse(node) for node in ast.walk(made_of[name])
                   if isinstance(node, (ast.Call, ast.Subscript, ast.Attribute, ast.Lambda))
                   or isinstance(node, ast.Name) and node.id not in made_of]
            assert not odd, f"{source.file}: {name} is made of {odd}"


def scans(statement: Statement, database: Filled) -> set[str]:
    """What its plan goes through from end to end, of what grows: `users`, or `jobs by jobs_due` along an index."""
    tables = {*database.tables(), *SMALL}
    named = {alias or table: table for table, alias in re.findall(
        r"\b(?:FROM|JOIN|UPDATE|INTO|,) (\w+)(?: (?:AS )?(?!ON\b|SET\b|WHERE\b|JOIN\b|ORDER\b|GROUP\b)(\w+))?",
        re.sub(r"\s+", " ", statement.sql)) if table in tables}
    found = set()
    for line in database.plan(statement.sql):
        match = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line)
        if match and named.get(match[1], match[1]) in tables - set(SMALL):
            found.add(f"{match[1]} by {match[2]}" if match[2] else match[1])
    return found


def among(names: dict[str, str]) -> set[str]:
    """The statements that are listed so."""
    return {f"{file}: {name}" for file, listed in names.items() for name in re.findall(r"'.*?'|\S+", listed)}


ONLINE = [name for name in sorted(WHOLE) if name.partition(":")[0] not in OFFLINE and "?" not in WHOLE[name].sql
          and name not in among(ONLY_POSTGRES)]


@pytest.mark.parametrize("name", ONLINE)
def test_its_plan_goes_through_no_table_that_grows(name: str, filled: Filled, analysed: Filled) -> None:
    for database in (filled, analysed):
        for scan in scans(WHOLE[name], database):
            assert (name, scan) in SCANS, database.plan(WHOLE[name].sql)


@pytest.mark.parametrize("name", ONLINE)
def test_its_order_comes_from_an_index(name: str, filled: Filled) -> None:
    plan = filled.plan(WHOLE[name].sql)
    # An AUTOMATIC index is one that SQLite makes for this one run, out of all rows.
    assert not any("AUTOMATIC" in line for line in plan), plan
    assert not any("USE TEMP B-TREE" in line for line in plan) or name in SORTS, plan


def test_every_exception_is_still_one(filled: Filled) -> None:
    assert set(SCANS) == {(name, scan) for name in ONLINE for scan in scans(WHOLE[name], filled)}
    assert set(SORTS) == {name for name in ONLINE if "USE TEMP B-TREE" in str(filled.plan(WHOLE[name].sql))}
    assert set(OFFLINE) <= {name.partition(":")[0] for name in WHOLE}


def test_every_table_has_rows_or_stays_small(filled: Filled) -> None:
    rows = {table: filled.count(table) for table in filled.tables()}
    assert {table for table, count in rows.items() if count < 2000} == set(SMALL) - {"sqlite_master"}, rows


def test_every_reference_is_found_by_an_index(filled: Filled) -> None:
    """What a delete of the row it points at does behind the scenes, and no plan shows."""
    for table in filled.tables():
        for column in filled.references(table):
            plan = filled.plan(f"DELETE FROM {table} WHERE {column} = $1")
            assert plan[0].startswith(f"SEARCH {table} USING"), (table, column, plan)


def test_a_scan_would_be_seen(filled: Filled) -> None:
    for sql, scan in (("SELECT id FROM users WHERE bio = $1", "users"),
                      ("SELECT u.id FROM users u ORDER BY u.username_key", "u by users_username"),
                      ("UPDATE posts SET title = '' WHERE text = $1", "posts"),
                      ("SELECT 1 FROM jobs j JOIN users u ON u.bio = j.key WHERE j.id = $1", "u"),
                      ("SELECT taken_back_at, at FROM likes WHERE at > $1", "likes by likes_of_post")):
        assert scans(Statement("", sql, ()), filled) == {scan}


async def test_postgresql_knows_every_one(tmp_path: Path) -> None:
    await (await open_postgres(postgres.database_of(tmp_path))).close()
    connection = await asyncpg.connect(postgres.database_of(tmp_path))
    refused = {}
    for name in sorted(set(WHOLE) - among(ONLY_SQLITE)):
        if "?" not in WHOLE[name].sql:
            try:
                await connection.prepare(dialect.postgres(WHOLE[name].sql))
            except asyncpg.PostgresError as error:
                refused[name] = str(error)
    await connection.close()
    assert refused == {}


def test_what_is_said_differently_to_postgresql_stays_little() -> None:
    assert {name for name, each in WHOLE.items() if dialect.postgres(each.sql) != each.sql} == set(SAID_DIFFERENTLY)
    assert among(ONLY_SQLITE) | among(ONLY_POSTGRES) <= set(WHOLE)
