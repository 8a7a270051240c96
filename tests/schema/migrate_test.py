"""`roomclaim migrate`: what it makes, what it leaves alone, what it refuses, and with which words and exit code."""

import contextlib
import itertools
import os
import pathlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.postgres import create_database, drop_database, with_database
from harness.processes import until
from psycopg import sql
from schema.claims import Claims

SERVER = os.environ["ROOMCLAIM_TEST_PG"]
PROGRAM = pathlib.Path(os.environ["ROOMCLAIM_BIN"]) / "roomclaim"
PASSWORD = "canary-pw"
LOCK_KEY = 5283409175220117
numbers = itertools.count()

ENUM = "CREATE TYPE feedback_status AS ENUM ({})"
TABLE = """CREATE TABLE "UserFeedback" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "roomSid" text {unique},
    status {type} NOT NULL, transcript text)"""
OLD_LABELS = ("initiated", "dropped", "completed")  # before the application knew processing


class Database:
    """A database of its own, and `roomclaim migrate` on it."""

    def __init__(self, name):
        self.name = name
        self.url = with_database(SERVER, name)

    def sql(self, words, *params):
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(words, params or None)
            return cursor.fetchall() if cursor.description else None

    def value(self, words, *params):
        return self.sql(words, *params)[0][0]

    def start(self, *options, url=None, **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "ROOMCLAIM_"))}
        environment["DATABASE_URL"] = self.url if url is None else url
        environment |= {f"ROOMCLAIM_DATABASE_{key.upper()}": value for key, value in settings.items()}
        return subprocess.Popen(
            [PROGRAM, "migrate", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options, **settings):
        return finish(self.start(*options, **settings))

    def migrate(self, *options, **settings):
        done = self.run("--execute", *options, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, code, *words, options=("--execute",), **settings):
        """Ends with this exit code, says these words, and leaves no schema of ours behind unless there was one."""
        had = self.has_schema()
        done = self.run(*options, **settings)
        assert done.returncode == code, done.stdout + done.stderr
        for word in words:
            assert word in done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        assert self.has_schema() == had
        return done

    def has_schema(self):
        return self.value("SELECT to_regnamespace('roomclaim') IS NOT NULL")

    def labels(self, name="feedback_status"):
        rows = self.sql("SELECT enumlabel FROM pg_enum WHERE enumtypid = %s::regtype ORDER BY enumsortorder", name)
        return [label for (label,) in rows]

    def give_application(self, labels=(*OLD_LABELS[:1], "processing", *OLD_LABELS[1:]), unique="UNIQUE"):
        self.sql(ENUM.format(", ".join(f"'{label}'" for label in labels)))
        self.sql(TABLE.format(unique=unique, type="feedback_status"))
        return self

    def fingerprint(self):
        """Everything that migrate could change."""
        return self.sql(
            "SELECT 'function', oid::regprocedure::text, xmin::text FROM pg_proc "
            "WHERE pronamespace = to_regnamespace('roomclaim') "
            "UNION ALL SELECT 'relation', oid::regclass::text, xmin::text FROM pg_class "
            "WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace "
            "UNION ALL SELECT 'label', enumtypid::regtype::text, enumlabel FROM pg_enum ORDER BY 1, 2, 3"
        )


def finish(process):
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture
def make_database():
    made = []

    def make(options=""):
        name = f"rc_mig_{os.getpid()}_{next(numbers)}"
        made.append(name)
        if options:
            with psycopg.connect(SERVER, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} {options}")
        else:
            create_database(SERVER, name)
        return Database(name)

    yield make
    for name in made:
        drop_database(SERVER, name)


@pytest.fixture
def database(make_database):
    return make_database()


@pytest.fixture
def owner(make_database):
    """A role without any attribute; the database and what is in it belong to it."""
    name = f"rc_mig_owner_{os.getpid()}_{next(numbers)}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        database = make_database(f"OWNER {name}")
        database.admin_url, database.owner = database.url, name
        database.url = with_database(SERVER, database.name, user=name, password=PASSWORD)
        yield database
        drop_database(SERVER, database.name)
        connection.execute(f"DROP ROLE {name}")


# ---- what it makes ----


def test_without_execute_nothing_is_changed_and_the_sql_is_printed(database):
    database.give_application(OLD_LABELS)
    before = database.fingerprint()
    done = database.run()
    assert (done.returncode, database.fingerprint()) == (0, before)
    assert "ADD VALUE IF NOT EXISTS 'processing' BEFORE 'dropped'" in done.stdout
    assert "CREATE TABLE roomclaim.room" in done.stdout
    assert "nothing is changed without --execute" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_printed_sql_does_the_same(make_database):
    by_psql, by_program = make_database(), make_database()
    printed = by_psql.run("--bootstrap")
    assert printed.returncode == 0, printed.stderr
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", by_psql.url], input=printed.stdout, text=True, check=True
    )
    by_program.migrate("--bootstrap")
    shapes = [[row[:2] for row in each.fingerprint()] for each in (by_psql, by_program)]
    assert shapes[0] == shapes[1]
    assert by_psql.migrate() == "nothing to do\n"


def test_a_second_run_has_nothing_to_do(database):
    database.give_application(OLD_LABELS)
    steps = database.migrate().splitlines()
    assert len(steps) > 3, steps
    before = database.fingerprint()
    assert database.migrate() == "nothing to do\n"
    dry = database.run()
    assert (dry.stdout, "nothing to do" in dry.stderr) == ("", True)
    assert database.fingerprint() == before


def test_bootstrap_makes_the_seeds_table(database):
    database.migrate("--bootstrap")
    assert database.labels() == ["initiated", "processing", "dropped", "completed"]
    database.sql("""INSERT INTO "UserFeedback" ("roomSid", transcript) VALUES ('RM_1', 'good')""")
    row = database.sql("""SELECT status::text, id IS NOT NULL, "createdAt" IS NOT NULL FROM "UserFeedback" """)
    assert row == [("initiated", True, True)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.sql("""INSERT INTO "UserFeedback" ("roomSid") VALUES ('RM_1')""")
    assert database.migrate("--bootstrap") == "nothing to do\n"


def test_bootstrap_makes_the_table_under_the_configured_names(database):
    names = {
        "table": 'App."It\'s ""Feedback"""',
        "id_column": "key",
        "room_column": "room sid",
        "status_column": "State",
        "input_columns": "room sid,text,more",
        "result_column": "result",
    }
    database.migrate("--bootstrap", **names)
    columns = database.value(
        "SELECT array_agg(attname::text || ':' || atttypid::regtype ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0",
        'app."It\'s ""Feedback"""',
    )
    assert columns[:3] == ["key:uuid", "room sid:text", "State:app.feedback_status"]
    assert columns[3:6] == ["text:text", "more:text", "result:jsonb"]
    database.sql("""INSERT INTO app."It's ""Feedback\""" ("room sid", text) VALUES ('RM_1', 'good')""")
    read = database.sql(
        "SELECT copies, status, ready FROM roomclaim.application_read(ARRAY['RM_1'], ARRAY[NULL::text])"
    )
    assert read == [(1, "initiated", True)]
    assert database.sql("SELECT * FROM roomclaim.version_v1()") == [(1, 'app."It\'s ""Feedback"""')]


def test_bootstrap_takes_a_type_that_is_there(database):
    database.sql(ENUM.format("'initiated', 'dropped', 'completed'"))
    database.migrate("--bootstrap")
    assert database.labels() == ["initiated", "processing", "dropped", "completed"]


def test_bootstrap_leaves_a_table_that_is_there(database):
    database.give_application()
    before = database.value("""SELECT xmin::text FROM pg_class WHERE oid = '"UserFeedback"'::regclass""")
    database.migrate("--bootstrap")
    assert database.value("""SELECT xmin::text FROM pg_class WHERE oid = '"UserFeedback"'::regclass""") == before


@pytest.mark.parametrize(
    ("labels", "after"),
    [
        (OLD_LABELS, ["initiated", "processing", "dropped", "completed"]),
        (("initiated", "completed"), ["initiated", "completed", "processing"]),
        (("a", "completed", "dropped", "initiated"), ["a", "completed", "processing", "dropped", "initiated"]),
    ],
)
def test_the_enum_gets_processing(database, labels, after):
    database.give_application(labels)
    assert database.migrate().startswith("value processing of the enum public.feedback_status\n")
    assert database.labels() == after


def test_a_status_of_text_needs_no_value(database):
    database.sql(TABLE.format(unique="UNIQUE", type="varchar(20)"))
    assert "enum" not in database.migrate()


def test_an_enum_behind_a_domain_gets_processing(database):
    database.sql(ENUM.format("'initiated', 'completed'"))
    database.sql("CREATE DOMAIN state AS feedback_status")
    database.sql(TABLE.format(unique="UNIQUE", type="state"))
    database.migrate()
    assert "processing" in database.labels()


def test_a_name_without_schema_is_looked_up_and_bound_for_good(database):
    database.sql("CREATE SCHEMA app")
    database.sql(f"ALTER DATABASE {database.name} SET search_path = app, public")
    database.give_application()
    database.migrate(table='"UserFeedback"')
    assert database.value("SELECT bound FROM roomclaim.version_v1()") == 'app."UserFeedback"'
    assert database.value("""SELECT to_regclass('app."UserFeedback"') IS NOT NULL""")


def test_the_ledger_has_its_partitions(database):
    database.migrate("--bootstrap")
    month = "to_char(now() AT TIME ZONE 'UTC' + interval '2 months', 'YYYYMM')"
    assert database.value(f"SELECT to_regclass('roomclaim.call_' || {month}) IS NOT NULL")


# ---- again, and at once ----


def test_processes_at_once_do_it_once(database):
    database.give_application(OLD_LABELS)
    outputs = [finish(process) for process in [database.start("--execute") for _ in range(4)]]
    assert [done.returncode for done in outputs] == [0] * 4, [done.stderr for done in outputs]
    lines = [line for done in outputs for line in done.stdout.splitlines() if line != "nothing to do"]
    assert len(lines) == len(set(lines)) > 3
    assert database.migrate() == "nothing to do\n"


def test_two_databases_of_one_cluster_at_once(make_database):
    databases = [make_database() for _ in range(4)]
    outputs = [finish(process) for process in [each.start("--execute", "--bootstrap") for each in databases]]
    assert [done.returncode for done in outputs] == [0] * 4, [done.stderr for done in outputs]
    assert [each.migrate() for each in databases] == ["nothing to do\n"] * 4


WAITING = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_those_that_waited_see_what_was_done_meanwhile(database, isolation):
    database.give_application(OLD_LABELS)
    database.sql(f"ALTER DATABASE {database.name} SET default_transaction_isolation = '{isolation}'")
    with psycopg.connect(database.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        processes = [database.start("--execute") for _ in range(2)]
        until(lambda: database.value(WAITING) == 2, 30, "both wait for the lock")
        assert not database.has_schema()
        other.rollback()
    outputs = [finish(process) for process in processes]
    assert [done.returncode for done in outputs] == [0, 0], [done.stderr for done in outputs]
    assert all("waiting for it" in done.stderr for done in outputs)
    lines = [line for done in outputs for line in done.stdout.splitlines() if line != "nothing to do"]
    assert len(lines) == len(set(lines)) > 3
    assert database.migrate() == "nothing to do\n"


def test_dropping_the_schema_and_migrating_again_works(database):
    database.give_application()
    database.migrate()
    database.sql("DROP SCHEMA roomclaim CASCADE")
    assert "migration 0001_tables.sql" in database.migrate()
    assert database.value("SELECT has_schema_privilege('roomclaim_consumer', 'roomclaim', 'USAGE')")


def test_a_changed_old_migration_is_refused(database):
    database.give_application()
    database.migrate()
    database.sql("UPDATE roomclaim.migration SET checksum = 'other' WHERE number = 1")
    before = database.fingerprint()
    database.refused(78, "0001_tables.sql")
    database.refused(78, "0001_tables.sql", options=())
    assert database.fingerprint() == before


def test_a_database_of_a_newer_version_is_refused(database):
    database.give_application()
    database.migrate()
    database.sql("INSERT INTO roomclaim.migration VALUES (99, '0099_later.sql', 'x')")
    database.refused(78, "0099_later.sql", "newer")


def test_other_names_render_the_functions_again(database):
    database.give_application()
    database.sql("""ALTER TABLE "UserFeedback" ADD notes text""")
    database.migrate()
    changed = database.migrate(input_columns="transcript,notes")
    assert "functions, bound to" in changed and "0001" not in changed
    body = "SELECT prosrc FROM pg_proc WHERE proname = 'application_input'"
    assert 'f."transcript"::text, f."notes"::text' in database.value(body)
    assert database.migrate(input_columns="transcript,notes") == "nothing to do\n"
    database.migrate()
    assert "notes" not in database.value(body)


def test_other_templates_run_functions_and_roles_again(database):
    database.give_application()
    database.migrate()
    database.sql("UPDATE roomclaim.migration SET checksum = 'other' WHERE number <= 0")
    database.sql("REVOKE USAGE ON SCHEMA roomclaim FROM roomclaim_consumer")
    steps = database.migrate()
    assert "functions" in steps and "roles" in steps
    assert database.value("SELECT has_schema_privilege('roomclaim_consumer', 'roomclaim', 'USAGE')")


def test_roles_follow_functions_that_were_made_without_them(database):
    database.give_application()
    database.sql("""ALTER TABLE "UserFeedback" ADD notes text""")
    database.migrate()
    assert "functions" in database.migrate("--no-roles", input_columns="notes")
    assert database.migrate(input_columns="notes") == "roles\n"


# What an older version left behind: a function with another result, one with other arguments, one that is no longer made, and
# a type with another field that a function takes and another type holds.
OLDER = """
DROP FUNCTION roomclaim.settings_v1();
CREATE FUNCTION roomclaim.settings_v1() RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION roomclaim.pause_v1(paused text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION roomclaim.settings_v0() RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE roomclaim.work_v0(INOUT n int) LANGUAGE sql AS 'SELECT n';
CREATE AGGREGATE roomclaim.total(bigint) (sfunc = int8pl, stype = bigint);
DROP FUNCTION roomclaim.close_calls(roomclaim.call_end[]);
DROP TYPE roomclaim.call_end;
CREATE TYPE roomclaim.call_end AS (i int, older text);
CREATE TYPE roomclaim.call_ends AS (ends roomclaim.call_end[]);
CREATE FUNCTION roomclaim.close_calls(ends roomclaim.call_end[]) RETURNS roomclaim.call_ends LANGUAGE sql
    AS 'SELECT NULL::roomclaim.call_ends';
"""
RENDERED_BY_ANOTHER = "UPDATE roomclaim.migration SET checksum = 'older' WHERE number <= 0"
# Everything that is rendered, and who may call it.
MADE = """SELECT oid::regprocedure::text, prosrc || pg_get_function_result(oid),
    (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) AS a)
    FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace
    UNION ALL SELECT attrelid::regclass::text, string_agg(attname || ' ' || atttypid::regtype, ', ' ORDER BY attnum), NULL
    FROM pg_attribute WHERE attrelid IN
        (SELECT oid FROM pg_class WHERE relnamespace = 'roomclaim'::regnamespace AND relkind = 'c') GROUP BY 1 ORDER BY 1"""


def test_the_functions_and_types_of_an_older_version_are_replaced(database):
    database.give_application()
    database.migrate()
    made = database.sql(MADE)
    database.sql(OLDER)
    database.sql(RENDERED_BY_ANOTHER)
    assert database.sql(MADE) != made
    assert database.migrate().splitlines()[0].startswith("functions, bound to")
    assert database.sql(MADE) == made
    before = database.fingerprint()
    assert (database.migrate(), database.fingerprint()) == ("nothing to do\n", before)


def test_the_printed_sql_replaces_an_older_version_too(database):
    database.give_application()
    database.migrate()
    made = database.sql(MADE)
    database.sql(OLDER)
    database.sql(RENDERED_BY_ANOTHER)
    printed = database.run().stdout
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", database.url], input=printed, text=True, check=True)
    assert (database.sql(MADE), database.migrate()) == (made, "nothing to do\n")


def test_who_could_call_a_function_still_can(owner):
    """Also where somebody else makes the roles, who is told to grant what is missing."""
    owner.give_application()
    owner.migrate("--no-roles")
    with psycopg.connect(owner.admin_url, autocommit=True) as admin:
        login = sql.Identifier(f'{owner.owner} "quoted"')
        admin.execute(sql.SQL("CREATE ROLE {}").format(login))
        try:
            grant = "GRANT EXECUTE ON FUNCTION roomclaim.summary_v1(), roomclaim.settings_v1() TO {} WITH GRANT OPTION"
            admin.execute(sql.SQL(grant).format(login))
            admin.execute("DROP FUNCTION roomclaim.summary_v1(); UPDATE roomclaim.migration SET checksum = 'older'"
                          " WHERE number = 0")  # fmt: skip
            printed = owner.migrate("--no-roles")
            may = "SELECT proname, acl.is_grantable FROM pg_proc, aclexplode(proacl) AS acl WHERE acl.grantee = %s::regrole"
            assert owner.sql(may, login.as_string(admin)) == [("settings_v1", True)]
            assert "Run it again" in printed and "GRANT EXECUTE ON FUNCTION" in printed
        finally:
            admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(login))


def test_what_others_made_of_a_function_keeps_it(database):
    database.give_application()
    database.migrate()
    made = database.sql(MADE)
    database.sql("CREATE VIEW board AS SELECT * FROM roomclaim.summary_v1()")
    database.sql("ALTER TABLE roomclaim.dead ADD mine text DEFAULT roomclaim.ms(5)")
    database.sql(RENDERED_BY_ANOTHER)
    done = database.run("--execute")
    assert (done.returncode, database.sql(MADE)) == (0, made), done.stderr
    assert "view public.board depends on function roomclaim.summary_v1()" in done.stderr
    assert "roomclaim.ms(bigint) stays" in done.stderr
    assert database.sql("SELECT * FROM board") == []


def test_a_view_on_a_result_that_changes_is_named(database):
    database.give_application()
    database.migrate()
    database.sql(OLDER)
    database.sql("CREATE VIEW board AS SELECT * FROM roomclaim.settings_v1()")
    database.sql(RENDERED_BY_ANOTHER)
    before = database.fingerprint()
    database.refused(1, "view public.board depends on function roomclaim.settings_v1()", "cannot change return type")
    assert database.fingerprint() == before


ENDLESS = {"max_attempts": 1000000, "max_calls": 1000000}


def work_until(claims, room, over):
    """Claims and releases the room again and again. Returns the SQLSTATEs of what failed."""
    failed = []
    while not over.is_set():
        try:
            claims.claim(room)
            claims.sweep()
            claims.release(room)
        except psycopg.Error as error:
            failed.append(error.sqlstate)
    return failed


def test_sessions_with_plans_go_on_meanwhile(database):
    """Some calls may fail while the functions are replaced, but never so that a room is taken for guilty."""
    database.give_application()
    database.migrate()
    names, over = ("a", "b", "c"), threading.Event()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(names)) as threads:
        sessions = {name: stack.enter_context(Claims(database.url, name, **ENDLESS)) for name in names}
        for name, claims in sessions.items():
            claims.put_row(name)
        try:
            running = [threads.submit(work_until, claims, name, over) for name, claims in sessions.items()]
            for _ in range(5):
                database.sql(RENDERED_BY_ANOTHER)
                database.migrate()
        finally:
            over.set()
        failed = {state for each in running for state in each.result()}
        guilty = "SELECT state FROM unnest(%s::text[]) AS state WHERE roomclaim.is_rows_fault(state)"
        assert database.sql(guilty, list(failed)) == []
        for name, claims in sessions.items():
            assert claims.room(name).state in ("waiting", "processing")
            claims.sql(
                "UPDATE roomclaim.room SET state = 'waiting', reason = 'backoff', attempt = 0, calls = 0, due_at = now()"
            )
            claims.sql("""UPDATE "UserFeedback" SET status = 'initiated'""")
            assert (claims.claim(name).outcome, claims.store(name).outcome) == ("won", "stored")
            assert claims.finish(name).outcome == "completed"


def test_a_prepared_statement_whose_result_changed_is_not_the_rows_fault(database):
    database.give_application()
    database.migrate()
    database.sql(OLDER)
    database.sql(RENDERED_BY_ANOTHER)
    with psycopg.connect(database.url, autocommit=True) as session:
        call = "SELECT * FROM roomclaim.settings_v1()"
        session.execute(call, prepare=True)
        database.migrate()
        with pytest.raises(psycopg.errors.FeatureNotSupported) as error:
            session.execute(call, prepare=True)
        assert database.value("SELECT roomclaim.is_rows_fault(%s)", error.value.sqlstate) is False
        assert session.execute(call, prepare=False).description[1].name == "value"


def test_a_failure_leaves_nothing_half_done(database):
    database.give_application()
    database.sql("CREATE SCHEMA roomclaim; CREATE TABLE roomclaim.analysis (x int)")
    done = database.refused(1, "0001_tables.sql", "already exists")
    assert done.stdout == ""
    assert database.value("SELECT to_regclass('roomclaim.migration') IS NULL AND to_regclass('roomclaim.room') IS NULL")


# ---- what it refuses ----


def test_a_missing_table(database):
    done = database.refused(69, '"UserFeedback"', "search_path", "public", "case-sensitive", "--bootstrap")
    assert len(done.stderr.splitlines()) == 1
    database.refused(69, '"UserFeedback"', options=())


def test_a_table_that_differs_by_case(database):
    database.give_application()
    database.refused(
        69, '"userfeedback"', "case-sensitive", 'There is public."UserFeedback"', table="public.UserFeedback"
    )


def test_a_view_in_the_tables_place(database):
    database.give_application()
    database.sql("""CREATE VIEW v AS SELECT * FROM "UserFeedback" """)
    database.refused(69, "view", table="v")


@pytest.mark.parametrize(
    ("key", "column"),
    [("id_column", "ID"), ("room_column", "roomsid"), ("status_column", "state"), ("input_columns", "text"),
     ("result_column", "result")],
)  # fmt: skip
def test_a_missing_column(database, key, column):
    database.give_application()
    database.refused(69, f"no column {column} ", f"database.{key}", "id, roomSid, status, transcript", **{key: column})


@pytest.mark.parametrize("labels", [("PENDING", "DONE"), ("initiated", "done"), ("completed", "dropped")])
def test_an_enum_of_other_labels(database, labels):
    database.give_application(labels)
    database.refused(69, "feedback_status", ", ".join(labels))
    assert database.labels() == list(labels)


def test_a_status_that_is_a_number(database):
    database.sql(TABLE.format(unique="UNIQUE", type="int"))
    database.refused(69, "int4", "enum or text")


def test_a_room_column_that_is_no_text(database):
    database.sql(TABLE.format(unique="UNIQUE", type="text").replace('"roomSid" text', '"roomSid" uuid'))
    database.refused(69, "operator does not exist")


@pytest.mark.parametrize(
    "condition", ["f.nothing", "f.transcript", "true; DROP TABLE x", "(true", "$$", "lower_public(f.transcript)"]
)
def test_a_condition_that_is_none(database, condition):
    database.give_application()
    database.sql("CREATE FUNCTION lower_public(text) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    database.refused(78, "database.input_ready", input_ready=condition)


def test_a_condition_that_ends_in_a_comment(database):
    database.give_application()
    database.migrate(input_ready="f.transcript LIKE '%.' -- a full stop")
    database.sql("""INSERT INTO "UserFeedback" ("roomSid", status, transcript) VALUES ('a', 'initiated', 'x.'),
                    ('b', 'initiated', 'x')""")
    ready = "SELECT array_agg(ready ORDER BY i) FROM roomclaim.application_read(ARRAY['a', 'b'], ARRAY[NULL, NULL])"
    assert database.value(ready) == [True, False]


@pytest.mark.parametrize("name", ["a.b.c", "t; DROP TABLE t", 'public."T', "my table", "a" * 64])
def test_a_name_that_is_none(database, name):
    database.refused(78, "database.table", table=name)


def test_another_encoding(make_database):
    database = make_database("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    database.refused(69, "LATIN1", "UTF8", options=("--execute", "--bootstrap"))


def test_a_server_that_only_reads(database):
    database.give_application()
    database.sql(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    database.refused(69, "read-only")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://u:{PASSWORD}@127.0.0.1:9/d", 69),
        (f"host=127.0.0.1 port=9 user=u password={PASSWORD} dbname=d", 69),
        (f"postgresql:/u:{PASSWORD}@127.0.0.1:9/d", 78),
        (f"postgresql://u:{PASSWORD}%00@127.0.0.1:9/d", 78),
        (f"postgresql://u:{PASSWORD}@[::1/d", 78),
        (f"host=127.0.0.1 password='{PASSWORD}", 78),
        (f"host=127.0.0.1 passwort={PASSWORD}", 78),
    ],
)
def test_a_server_that_is_away_or_misnamed_tells_no_password(database, url, code):
    done = database.refused(code, "database.url", url=url)
    assert len(done.stderr.splitlines()) == 1


def test_words_that_make_no_sense(database):
    for options in (("more",), ("--frob",), ("--execute=yes",), ("--set",)):
        database.refused(64, options=options)
    assert subprocess.run([PROGRAM], capture_output=True, check=False).returncode == 64
    assert subprocess.run([PROGRAM, "frob"], capture_output=True, check=False).returncode == 64


def test_help_names_the_options():
    done = subprocess.run([PROGRAM, "migrate", "--help"], capture_output=True, text=True, check=True)
    for word in ("--execute", "--bootstrap", "--no-roles", "database.url"):
        assert word in done.stdout


# ---- what it warns of ----


def warned(database, word):
    """The warning comes in a dry run, when it is done, and when nothing is left to do, once each."""
    for options in ((), ("--execute",), ("--execute",)):
        done = database.run(*options)
        lines = [line for line in done.stderr.splitlines() if "warning" in line]
        assert (done.returncode, len([line for line in lines if word in line])) == (0, 1), done.stderr


def test_a_look_up_without_an_index(database):
    warned(database.give_application(unique=""), "no index")


@pytest.mark.parametrize(
    "index",
    ['(status, "roomSid")', "(\"roomSid\") WHERE status = 'initiated'", '(lower("roomSid"))', 'USING brin ("roomSid")'],
)
def test_an_index_that_does_not_help(database, index):
    database.give_application(unique="")
    database.sql(f'CREATE INDEX ON "UserFeedback" {index}')
    warned(database, "no index")


def test_an_index_that_helps(database):
    database.give_application(unique="")
    database.sql('CREATE INDEX ON "UserFeedback" ("roomSid", status)')
    assert "warning" not in database.run("--execute").stderr


def test_two_rows_for_a_room(database):
    database.give_application(unique="")
    database.sql("""INSERT INTO "UserFeedback" ("roomSid", status)
                    VALUES ('RM_2', 'initiated'), ('RM_2', 'completed'), ('RM_1', 'initiated'), (NULL, 'initiated'),
                           (NULL, 'initiated')""")
    warned(database, "1 rooms have two or more rows")


def test_row_level_security_that_hides_rows(owner):
    owner.give_application()
    owner.migrate("--no-roles")
    owner.sql("""ALTER TABLE "UserFeedback" ENABLE ROW LEVEL SECURITY""")
    assert "warning" not in owner.run("--no-roles").stderr
    owner.sql("""ALTER TABLE "UserFeedback" FORCE ROW LEVEL SECURITY""")
    assert "row-level security" in owner.run("--no-roles").stderr


# ---- who runs it ----


def test_an_owner_who_may_make_no_roles_uses_those_that_are_there(owner):
    for role in ("consumer", "operator", "reader"):
        make = f"DO $$ BEGIN CREATE ROLE roomclaim_{role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", owner.admin_url, "-c", make], check=True)
    owner.give_application(OLD_LABELS)
    done = owner.run("--execute")
    assert (done.returncode, owner.has_schema()) == (0, True), done.stderr
    assert owner.value("SELECT has_schema_privilege('roomclaim_consumer', 'roomclaim', 'USAGE')")


def test_an_owner_who_is_no_superuser(owner):
    owner.give_application(OLD_LABELS)
    printed = owner.migrate("--no-roles")
    assert "CREATE ROLE" in printed
    assert all(line.startswith("-- ") for line in printed.split("BEGIN;")[0].splitlines() if line)
    owners = owner.sql(
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace"
    )
    assert owners == [(owner.owner,)]
    may = "SELECT has_schema_privilege('roomclaim_consumer', 'roomclaim', 'USAGE')"
    assert owner.migrate("--no-roles").startswith("-- nothing to do\n")
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", owner.admin_url], input=printed, text=True, check=True)
    assert owner.value(may)


def test_nobody_else_may_call_what_was_made_without_roles(owner):
    owner.give_application()
    owner.migrate("--no-roles")
    public = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'roomclaim'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')"
    assert owner.value(public) == 0


def test_the_schema_may_have_been_made_by_another(owner):
    with psycopg.connect(owner.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE SCHEMA roomclaim AUTHORIZATION {}").format(sql.Identifier(owner.owner)))
    owner.give_application()
    assert "migration 0001_tables.sql" in owner.migrate("--no-roles")


def test_a_role_that_lacks_a_right_is_told_the_grant(owner):
    with psycopg.connect(owner.admin_url, autocommit=True) as admin:
        admin.execute(ENUM.format("'initiated', 'processing', 'completed'"))
        admin.execute(TABLE.format(unique="UNIQUE", type="feedback_status"))
        admin.execute(f'GRANT SELECT ON "UserFeedback" TO {owner.owner}')
        grant = f'GRANT UPDATE (status) ON public."UserFeedback" TO {owner.owner}'
        owner.refused(69, grant)
        admin.execute(grant)
    owner.migrate("--no-roles")


def test_a_role_that_may_not_change_the_enum_is_told_who_may(owner):
    with psycopg.connect(owner.admin_url, autocommit=True) as admin:
        admin.execute(ENUM.format("'initiated', 'completed'"))
        admin.execute(TABLE.format(unique="UNIQUE", type="feedback_status"))
        admin.execute(f'GRANT SELECT, UPDATE ON "UserFeedback" TO {owner.owner}')
    owner.refused(69, "processing", "owner")


def test_the_whole_time_the_application_can_work(database):
    """Migrating takes no lock on the application's table: a transaction that writes there does not hold it up."""
    database.give_application()
    with psycopg.connect(database.url) as application:
        application.execute("""LOCK TABLE "UserFeedback" IN ROW EXCLUSIVE MODE""")
        application.execute("""INSERT INTO "UserFeedback" ("roomSid", status) VALUES ('RM_1', 'initiated')""")
        database.migrate()
