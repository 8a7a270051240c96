"""A standby of a Postgres of the tests: a copy that follows it, may be made deaf, and takes over."""

import shutil

import psycopg

from .postgres import Postgres
from .processes import until


class Standby(Postgres):
    """It replicates asynchronously."""

    def follow(self, primary):
        """Copies the primary, which runs, and starts."""
        self._primary = primary
        self.folder.mkdir()
        if self._user:
            shutil.chown(self.folder, self._user)
        url = primary.url("replication")
        self._run("pg_basebackup", "-D", self.folder / "data", "-R", "-X", "stream", "-c", "fast", "-d", url)
        return self.start()

    def expect_caught_up(self):
        """It has all that the primary has written so far."""
        with (
            psycopg.connect(self._primary.url(), autocommit=True) as primary,
            psycopg.connect(self.url(), autocommit=True) as own,
        ):
            end = primary.execute("SELECT pg_current_wal_lsn()").fetchone()[0]
            until(
                lambda: own.execute("SELECT pg_last_wal_replay_lsn() >= %s", [end]).fetchone()[0], 20, "it catches up"
            )

    def hears_no_more(self):
        """From now on it gets nothing of what the primary does."""
        with psycopg.connect(self.url(), autocommit=True) as own:
            own.execute("ALTER SYSTEM SET primary_conninfo = ''")
            own.execute("SELECT pg_reload_conf()")
            until(lambda: own.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone()[0] == 0, 20, "it is deaf")

    def take_over(self):
        """Makes it the primary; returns its URL."""
        with psycopg.connect(self.url(), autocommit=True) as own:
            assert own.execute("SELECT pg_promote(true, 20)").fetchone()[0]
        return self.url()
