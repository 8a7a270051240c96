"""Roles: what a login may do is what its group was given by name, and everything else fails with 42501."""

import pathlib
import re

import psycopg
import pytest
from harness.postgres import with_database
from schema.claims import Claims

ROLES = pathlib.Path(__file__).parents[2] / "schema" / "roles.sql"
GROUPS = ("roomclaim_consumer", "roomclaim_operator", "roomclaim_reader")
PASSWORD = "canary-pw"


def granted():
    """Group -> names of the functions that roles.sql gives it."""
    given = {group: set() for group in GROUPS}
    for functions, groups in re.findall(r"GRANT EXECUTE ON FUNCTION(.*?)\sTO (.*?);", ROLES.read_text(), re.S):
        for group in groups.split(","):
            given[group.strip()].update(re.findall(r"roomclaim\.(\w+)", functions))
    return given


@pytest.fixture(scope="module")
def logins(server, database):
    """Group -> URI of a login that is in this group only."""
    name = database.rsplit("/", 1)[1]
    made = {group: f"{name}_{group.removeprefix('roomclaim_')}" for group in GROUPS}
    with psycopg.connect(server, autocommit=True) as connection:
        for group, login in made.items():
            connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' IN ROLE {group}")
        yield {group: with_database(server, name, login, PASSWORD) for group, login in made.items()}
        for login in made.values():
            with psycopg.connect(database, autocommit=True) as inside:
                inside.execute(f"DROP OWNED BY {login}")
            connection.execute(f"DROP ROLE {login}")


@pytest.fixture
def login(logins, claims):
    """login(group) -> a connection of its login."""
    made = []

    def make(group):
        made.append(psycopg.connect(logins[group], autocommit=True))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


def sqlstate(connection, words):
    try:
        connection.execute(words)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def call_of(claims, function):
    """A call with NULLs."""
    types = claims.sql("SELECT unnest(proargtypes)::regtype::text AS name FROM pg_proc WHERE oid = %s", function.oid)
    return f"SELECT roomclaim.{function.proname}({', '.join(f'NULL::{kind.name}' for kind in types)})"


@pytest.mark.parametrize("group", GROUPS)
def test_functions(claims, login, group):
    connection, may = login(group), set()
    functions = claims.sql("SELECT oid, proname FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace")
    assert len(functions) > 30
    for function in functions:
        if sqlstate(connection, call_of(claims, function)) != "42501":
            may.add(function.proname)
    assert may == granted()[group]


def refused(connection, words):
    assert sqlstate(connection, words) == "42501", words


@pytest.mark.parametrize("group", GROUPS)
def test_tables(claims, login, group):
    connection = login(group)
    tables = claims.sql(
        "SELECT c.oid::regclass::text AS name, a.attname AS first, relnamespace = 'roomclaim'::regnamespace AS ours "
        "FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum = 1 "
        "WHERE relnamespace IN ('roomclaim'::regnamespace, 'public'::regnamespace) AND relkind IN ('r', 'p')"
    )
    assert len(tables) > 10 and [table.name for table in tables if not table.ours] == ['"UserFeedback"']
    for table in tables:
        if group == "roomclaim_consumer" or not table.ours:
            refused(connection, f"SELECT 1 FROM {table.name}")
            refused(connection, f"SELECT 1 FROM {table.name} FOR UPDATE")
        else:
            assert sqlstate(connection, f"SELECT * FROM {table.name}") is None
        refused(connection, f'UPDATE {table.name} SET "{table.first}" = DEFAULT')
        for words in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            refused(connection, words.format(table.name))
    for sequence in claims.sql("SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'S'"):
        refused(connection, f"SELECT nextval('{sequence.name}')")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    "words",
    [
        "CREATE TABLE roomclaim.mine (x int)",
        "CREATE FUNCTION roomclaim.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION roomclaim.ms(n bigint) RETURNS interval LANGUAGE sql AS 'SELECT NULL::interval'",
        "CREATE TYPE roomclaim.mine AS (x int)",
        "ALTER FUNCTION roomclaim.settings_v1() SECURITY INVOKER",
        "ALTER TABLE roomclaim.room ADD mine int",
        "CREATE INDEX ON roomclaim.room (worker)",
        'CREATE TRIGGER mine BEFORE UPDATE ON "UserFeedback" EXECUTE FUNCTION suppress_redundant_updates_trigger()',
        "GRANT EXECUTE ON FUNCTION roomclaim.ms(bigint) TO PUBLIC",
        "DROP SCHEMA roomclaim",
        "SET ROLE postgres",
        "ALTER ROLE roomclaim_consumer SUPERUSER",
    ],
)
def test_definitions(login, group, words):
    connection = login(group)
    refused(connection, words)


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_made_later_is_closed(claims, login, group):
    claims.sql("CREATE TABLE roomclaim.later (x int)")
    claims.sql(
        "CREATE TABLE roomclaim.call_209901 PARTITION OF roomclaim.call FOR VALUES FROM ('2099-01-01') TO ('2099-02-01')"
    )
    try:
        connection = login(group)
        for table in ("later", "call_209901"):
            refused(connection, f"SELECT * FROM roomclaim.{table}")
            refused(connection, f"DELETE FROM roomclaim.{table}")
        if group != "roomclaim_consumer":
            assert sqlstate(connection, "SELECT * FROM roomclaim.call") is None
    finally:
        claims.sql("DROP TABLE roomclaim.later, roomclaim.call_209901")


WRITING = {"claim_v1", "store_v1", "finish_v1", "release_v1", "park_v1", "sweep_v1", "enqueue_v1", "dlq_acked_v1"}


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_only_read_committed(claims, level):
    functions = claims.sql(
        "SELECT oid, proname FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace AND prosecdef"
    )
    refusing = set()
    claims.sql(f"SET default_transaction_isolation = '{level}'")
    for function in functions:
        state = sqlstate(claims.connection, call_of(claims, function))
        if (state or "").startswith("RC"):
            refusing.add(function.proname)
    assert refusing == WRITING
    claims.sql("RESET default_transaction_isolation")
    for function in functions:
        state = sqlstate(claims.connection, call_of(claims, function))
        assert not (state or "").startswith("RC"), function.proname


def test_a_login_that_works(claims, logins):
    claims.put_row("a")
    with Claims(logins["roomclaim_consumer"]) as consumer:
        assert consumer.claim("a").outcome == "won"
        assert consumer.store("a").outcome == "stored"
        assert consumer.finish("a").outcome == "completed"
        assert consumer.sweep() == []


FAKE_FUNCTIONS = [
    "ms(bigint) RETURNS interval",
    "backoff(int, interval) RETURNS interval",
    "claim_glance(text[], uuid[], jsonb) RETURNS text[]",
    "application_lock(text[]) RETURNS boolean[]",
    "application_move(text[], text[], text[], text) RETURNS SETOF text",
    "lock_rooms(text[]) RETURNS void",
    "unnest(text[]) RETURNS SETOF text",
    "cardinality(text[]) RETURNS int",
    "clock_timestamp() RETURNS timestamptz",
    "now() RETURNS timestamptz",
    "sha256(bytea) RETURNS bytea",
    "texts_equal(text, text) RETURNS boolean",
    "statuses_equal(feedback_status, text) RETURNS boolean",
]


@pytest.mark.parametrize("place", ["pg_temp", "public"])
def test_objects_named_like_ours_are_not_used(claims, logins, place):
    """Even where everybody may create in public, as up to PostgreSQL 14, and with a search path that prefers the fakes."""
    claims.sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
    claims.put_row("a")
    with Claims(logins["roomclaim_consumer"]) as consumer:
        consumer.sql(f"SET search_path = {place}, public, pg_catalog")
        for table in ("room", "call", "analysis", "setting", "migration", "pg_class"):
            consumer.sql(
                f"CREATE TABLE {place}.{table} (room_sid text, state text, name text, value jsonb, fake boolean)"
            )
        if place == "pg_temp":
            consumer.sql(
                """CREATE TABLE pg_temp."UserFeedback" (id uuid, "roomSid" text, status text, transcript text)"""
            )
        for function in FAKE_FUNCTIONS:
            consumer.sql(
                f"CREATE FUNCTION {place}.{function} LANGUAGE plpgsql AS 'BEGIN RAISE ''the fake is used''; END'"
            )
        consumer.sql(f"CREATE OPERATOR {place}.= (FUNCTION = {place}.texts_equal, LEFTARG = text, RIGHTARG = text)")
        consumer.sql(
            f"CREATE OPERATOR {place}.= (FUNCTION = {place}.statuses_equal, LEFTARG = feedback_status, RIGHTARG = text)"
        )
        with pytest.raises(psycopg.errors.RaiseException):
            consumer.sql(f"SELECT {place}.ms(1)")
        words = [consumer.claim("a").outcome, consumer.release("a").outcome]
        consumer.sweep()
        words += [consumer.claim("a").outcome, consumer.store("a").outcome, consumer.finish("a").outcome]
        assert words == ["won", "released", "won", "stored", "completed"]
        assert claims.status("a") == "completed"
        consumer.sql("DROP OWNED BY CURRENT_USER")
    claims.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


def test_a_trigger_finds_the_tables_beside_its_own(claims, logins):
    """Applications' triggers name their tables without a schema."""
    claims.sql("CREATE TABLE audit (status text)")
    claims.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (NEW.status); RETURN NEW; END'"
    )
    claims.sql('CREATE TRIGGER note BEFORE UPDATE ON "UserFeedback" FOR EACH ROW EXECUTE FUNCTION note()')
    claims.put_row("a")
    with Claims(logins["roomclaim_consumer"]) as consumer:
        words = [consumer.claim("a").outcome, consumer.release("a").outcome]
        words += [consumer.claim("a").outcome, consumer.store("a").outcome, consumer.finish("a").outcome]
    assert words == ["won", "released", "won", "stored", "completed"]
    assert [each.status for each in claims.sql("SELECT status FROM audit")] == [
        "processing",
        "initiated",
        "processing",
        "completed",
    ]
    claims.sql("DROP TABLE audit; DROP FUNCTION note CASCADE")
