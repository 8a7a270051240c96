"""A private PostgreSQL cluster on a free loopback port; fsync stays on. As root it runs as the user `postgres`."""

import os
import pathlib
import shutil
import signal
import subprocess

import psycopg
from psycopg import sql

from .processes import Child, free_port, until


def _bin_folder():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    if shutil.which("initdb"):
        return pathlib.Path(shutil.which("initdb")).resolve().parent
    raise RuntimeError("PostgreSQL's server programs are not installed: ./dev setup installs them")


class Postgres:
    SETTINGS = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "max_wal_size": "2GB",
        "log_line_prefix": "%m [%p] %a ",
    }

    def __init__(self, folder, detached=False):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self._bin = _bin_folder()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._detached = detached
        self.child = None

    def start(self):
        data = self.folder / "data"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._user:
                shutil.chown(self.folder, self._user)
            self._run(
                "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
            )
        options = [part for name, value in self.SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self.child = Child(
            "postgres",
            [self._bin / "postgres", "-D", data, "-p", self.port, *options],
            self.folder / "postgres.log",
            user=self._user,
            detached=self._detached,
            death_signal=signal.SIGQUIT,
        )
        until(self._answers, 30, lambda: f"Postgres is up; log: {self.child.log}")
        return self

    def stop(self):
        """Fast shutdown: connections are cut, data is kept."""
        return self.child.stop(30, signal.SIGINT) if self.child else 0

    def crash(self):
        """Immediate shutdown, as after a power cut: the next start recovers from the log."""
        return self.child.stop(30, signal.SIGQUIT)

    def url(self, database="postgres", user="postgres", password=None):
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name, template=None):
        create_database(self.url(), name, template)

    def _answers(self):
        if not self.child.running():
            raise RuntimeError(f"Postgres did not start; log: {self.child.log}")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self._bin / program, *map(str, arguments)],
            user=self._user,
            group=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")


def create_database(server_url, name, template=None):
    with psycopg.connect(server_url, autocommit=True) as connection:
        words = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            words += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        connection.execute(words)


def drop_database(server_url, name):
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def with_database(server_url, name, user=None, password=None):
    """The same server, another database, and if wanted another user."""
    parts = psycopg.conninfo.conninfo_to_dict(server_url)
    who = user or parts.get("user", "postgres")
    secret = f":{password}" if password else ""
    return f"postgresql://{who}{secret}@{parts['host']}:{parts['port']}/{name}"
