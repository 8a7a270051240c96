"""A database as `roomclaim migrate` makes it, with the two roles that the tests log in as."""

import psycopg

from . import programs
from .postgres import create_database, with_database

TEST_ROLES = """
DO $$ BEGIN
    IF to_regrole('test_consumer') IS NULL THEN CREATE ROLE test_consumer LOGIN IN ROLE roomclaim_consumer; END IF;
    IF to_regrole('test_reader') IS NULL THEN CREATE ROLE test_reader LOGIN IN ROLE roomclaim_reader; END IF;
END $$
"""


def migrated_database(server, name):
    create_database(server, name)
    settings = {"DATABASE_URL": with_database(server, name)}
    done = programs.run("roomclaim", "migrate", "--execute", "--bootstrap", settings=settings)
    if done.returncode:
        raise RuntimeError(f"roomclaim migrate failed:\n{done.stdout}{done.stderr}")
    with psycopg.connect(settings["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(TEST_ROLES)
