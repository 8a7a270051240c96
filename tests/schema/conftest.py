"""Fixtures of the tests of the schema. ROOMCLAIM_TEST_PG is the superuser's URI of a scratch cluster, ROOMCLAIM_BIN the
folder of the program roomclaim: ./dev test schema gives both.

template: the name of a database that `roomclaim migrate --execute --bootstrap` has prepared, one a session. A second row of
  a room is allowed in it, as the room's sid has a plain index there instead of a UNIQUE one.
make_database(template=None) -> URI of a new copy, dropped after the module.
database: URI of a copy of its own for the module. Whatever a test changes about its tables, triggers or functions stays.
claims: a Claims (claims.py) on it, all tables emptied before each test.
"""

import itertools
import os
import pathlib
import subprocess

import psycopg
import pytest
from harness.postgres import create_database, drop_database, with_database
from schema.claims import TABLES, Claims

# Several sessions may use one cluster.
PREFIX = f"{os.environ.get('ROOMCLAIM_TEST_PREFIX', 'rc_schema')}_{os.getpid()}"
numbers = itertools.count()


def pytest_configure():
    if not (os.environ.get("ROOMCLAIM_TEST_PG") and os.environ.get("ROOMCLAIM_BIN")):
        pytest.exit('no server or no program: use ./dev test schema, or first eval "$(./dev up)"', 4)


@pytest.fixture(scope="session")
def server():
    return os.environ["ROOMCLAIM_TEST_PG"]


def create(server, template=None):
    name = f"{PREFIX}_{next(numbers)}"
    create_database(server, name, template)
    return name


@pytest.fixture(scope="session")
def template(server):
    name = create(server)
    url = with_database(server, name)
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "ROOMCLAIM_"))}
    subprocess.run(
        [pathlib.Path(os.environ["ROOMCLAIM_BIN"]) / "roomclaim", "migrate", "--execute", "--bootstrap"],
        env={**keep, "DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('ALTER TABLE "UserFeedback" DROP CONSTRAINT "UserFeedback_roomSid_key"')
        connection.execute('ALTER TABLE "UserFeedback" ALTER status DROP NOT NULL')
        connection.execute('CREATE INDEX ON "UserFeedback" ("roomSid")')
    yield name
    drop_database(server, name)


@pytest.fixture(scope="module")
def make_database(server, template):
    made = []

    def make(of=None):
        made.append(create(server, of or template))
        return with_database(server, made[-1])

    yield make
    for name in made:
        drop_database(server, name)


@pytest.fixture(scope="module")
def database(make_database):
    return make_database()


@pytest.fixture
def claims(database):
    with Claims(database) as it:
        it.sql(f"TRUNCATE {', '.join(TABLES)}")
        it.sql(
            "INSERT INTO roomclaim.setting VALUES ('sweep_mark', to_jsonb('-infinity'::text))"
        )  # as migrate leaves it
        yield it
