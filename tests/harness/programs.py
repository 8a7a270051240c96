"""Our programs as processes: started by environment variables alone, watched, stopped, and looked at afterwards.

Nothing of the caller's environment reaches them but PATH. Reports of the sanitizers or of valgrind go to files; any
file is a failure. Every secret that they are given holds the word "canary": it must be in no log.
"""

import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.request

from .processes import PATIENCE, Child, until

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("ROOMCLAIM_BIN", HERE.parent.parent / "build" / "dev" / "bin"))
VALGRIND = bool(os.environ.get("ROOMCLAIM_TEST_VALGRIND"))

API_KEY = "devkey"
API_SECRET = "canary-livekit-secret-0123456789abcdef"
MODEL_KEY = "canary-model-key"
PG_PASSWORD = "canary-postgres-password"


def variable(key):
    """claim.lease -> ROOMCLAIM_CLAIM_LEASE; a name in capitals is a variable already."""
    return key if key.isupper() else "ROOMCLAIM_" + key.replace(".", "_").upper()


def environment(settings, reports=None):
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    if reports:
        env["ASAN_OPTIONS"] = f"log_path={reports}/asan:detect_leaks=1:verify_asan_link_order=0"
        env["UBSAN_OPTIONS"] = f"log_path={reports}/ubsan:print_stacktrace=1"
        env["LSAN_OPTIONS"] = "report_objects=1"
    return env | {variable(key): str(value) for key, value in settings.items() if value is not None}


def preloaded(folder, name):
    """The path of tests/harness/NAME.c as a library for LD_PRELOAD."""
    library = pathlib.Path(folder) / f"{name}.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, HERE / f"{name}.c"], check=True)
    return library


def clock_at(folder, seconds):
    """Settings that let a program see this time of day when it starts (Unix seconds)."""
    return {"LD_PRELOAD": preloaded(folder, "clock_at"), "CLOCK_AT": int(seconds)}


class Disk:
    """.settings let a program's disk fail between fails(how) and works(): write, sync or hang."""

    def __init__(self, folder):
        self._told = pathlib.Path(folder) / "disk_fails"
        self.settings = {"LD_PRELOAD": preloaded(folder, "disk_fails"), "DISK_FAILS": self._told}

    def fails(self, how):
        draft = self._told.with_suffix(".draft")
        draft.write_text(how)
        draft.rename(self._told)

    def works(self):
        self._told.unlink()


def wrapper(reports):
    if not VALGRIND:
        return []
    return [
        "valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite",
        f"--suppressions={HERE.parent / 'valgrind.supp'}", f"--log-file={reports}/valgrind.%p",
    ]  # fmt: skip


def run(program, *arguments, settings=None, within=30):
    """Runs one of our programs to its end: subprocess.CompletedProcess with text."""
    return subprocess.run(
        [BIN / program, *map(str, arguments)],
        env=environment(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within * PATIENCE,
    )


def get(url):
    """(status, text); status 0: nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


SAMPLE = re.compile(r'^(\w+)(?:\{(?:(\w+)="([^"]*)")?[^}]*\})? (\S+)$', re.M)


class Daemon:
    """roomclaim-shim or roomclaim-consumer. `settings` are configuration keys (claim.lease) or variables; None: unset."""

    def __init__(self, program, folder, settings, binaries=None):
        self.program = program
        self.folder = pathlib.Path(folder)
        self.reports = self.folder / "reports"
        self.reports.mkdir(parents=True)
        section = program.removeprefix("roomclaim-")
        self.settings = {"log.format": "json", f"{section}.admin_listen": "127.0.0.1:0", **settings}
        argv = [*wrapper(self.reports), (binaries or BIN) / program]
        self.child = Child(program, argv, self.folder / "log", env=environment(self.settings, self.reports))
        self.ended = None

    # --- watching

    def log(self):
        """The log's lines as dicts; what is not JSON (a library's own words) is left out."""
        lines = (line for line in self.child.output().splitlines() if line.startswith("{"))
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # a line that a kill cut off
        return found

    def said(self, msg):
        return [line for line in self.log() if msg in line.get("msg", "")]

    def port_of(self, listener):
        """The port of the listener that the log names with this word (webhooks, admin)."""
        for line in self.log():
            msg = line.get("msg", "")
            if "listen" in msg and listener in msg:
                return int(line.get("port") or line["listen"].rsplit(":", 1)[1])
        return None

    @property
    def admin(self):
        return f"http://127.0.0.1:{until(lambda: self._alive() and self.port_of('admin'), 20, self._what('its admin port'))}"

    def ready(self):
        return get(self.admin + "/readyz")[0] == 200

    def wait_ready(self, within=20):
        until(lambda: self._alive() and self.ready(), within, self._what("it is ready"))
        return self

    def metrics(self):
        """{(name, label's value or ""): number}"""
        status, text = get(self.admin + "/metrics")
        assert status == 200, f"/metrics answered {status}"
        assert "canary" not in text
        return {(name, value): float(number) for name, _, value, number in SAMPLE.findall(text)}

    def _alive(self):
        if not self.child.running():
            raise AssertionError(f"{self.program} ended with {self.child.wait(1)}:\n{self.tail()}")
        return True

    def _what(self, what):
        return lambda: f"{self.program}: {what}\n{self.tail()}"

    def tail(self, lines=30):
        return "\n".join(self.child.output().splitlines()[-lines:])

    # --- ending

    def stop(self, within=20, expect=0):
        """SIGTERM; the exit code must be the expected one."""
        code = self.child.stop(within)
        self.ended = code
        assert code == expect, f"{self.program} ended with {code}, not {expect}\n{self.tail()}"

    def kill(self):
        self.ended = self.child.kill()

    def finish(self):
        """At the end of a test: stopped if it still runs; no report, no secret in its log."""
        if self.ended is None and self.child.running():
            self.stop()
        elif self.ended is None:
            raise AssertionError(f"{self.program} ended by itself with {self.child.wait(1)}\n{self.tail()}")
        self.check()

    def check(self):
        assert not self.report(), self.report()
        leaks = [line for line in self.child.output().splitlines() if "canary" in line]
        assert not leaks, f"{self.program} logged a secret: {leaks[:3]}"

    def forget_reports(self):
        for path in self.reports.iterdir():
            path.unlink()

    def report(self):
        """What the sanitizers or valgrind wrote."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.reports.iterdir()) if p.stat().st_size)


class Shim(Daemon):
    def __init__(self, folder, settings, binaries=None):
        self.api_key, self.api_secret = API_KEY, API_SECRET
        self.topic = settings["kafka.topic"]
        known = {"LIVEKIT_API_KEY": API_KEY, "LIVEKIT_API_SECRET": API_SECRET, "shim.listen": "127.0.0.1:0"}
        super().__init__("roomclaim-shim", folder, known | settings, binaries)

    @property
    def port(self):
        return until(lambda: self._alive() and self.port_of("webhooks"), 20, self._what("its port"))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/webhook"


class Consumer(Daemon):
    # Short times, so that a test sees in seconds what takes minutes in production.
    SETTINGS = {
        "kafka.properties": f"session.timeout.ms={3000 * PATIENCE:.0f},heartbeat.interval.ms=300,statistics.interval.ms=200",
        "llm.timeout": f"{3 * PATIENCE:g}s",
        "llm.connect_timeout": "500ms",
        "claim.lease": f"{6 * PATIENCE:g}s",
        "claim.margin": "500ms",
        "sweep.interval": "300ms",
        "retry.initial": "100ms",
        "retry.max": "400ms",
        "breaker.probe_initial": "300ms",
        "breaker.probe_max": "1s",
        "consumer.commit_interval": "100ms",
    }

    def __init__(self, folder, settings, binaries=None):
        known = self.SETTINGS | {"GEMINI_API_KEY": MODEL_KEY}
        super().__init__("roomclaim-consumer", folder, known | settings, binaries)
