"""Child processes and waiting.

Each child has a process group of its own, dies with its parent (unless detached), and is signalled by pid only.
until() is the only place in the tests that lets time pass.
"""

import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# Under valgrind everything is slower: deadlines, and the programs' own time limits, are multiplied by this.
PATIENCE = float(os.environ.get("ROOMCLAIM_TEST_PATIENCE", "1"))


class Late(AssertionError):
    """A condition did not come true within its deadline."""


def until(condition, within, what):
    """Polls condition() and returns its first true value. `what` is a text, or a function that describes the present."""
    deadline = time.monotonic() + within * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Late(f"not within {within * PATIENCE:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def free_port():
    """A loopback port that is free now. For servers that cannot choose one by themselves."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _tie_to_parent(death_signal, parent):
    def run():
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            os._exit(1)

    return run


def end_with_parent():
    """SIGTERM to this process when the one that started it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A started process. Its output, both streams, goes to the file `log`."""

    def __init__(
        self,
        name,
        argv,
        log,
        *,
        env=None,
        user=None,
        cwd=None,
        detached=False,
        death_signal=signal.SIGKILL,
        pass_fds=(),
    ):
        self.name = name
        self.log = pathlib.Path(log)
        how = {"start_new_session": True} if detached else {"process_group": 0}
        how["pass_fds"] = pass_fds
        if not detached:  # tied to the thread that starts it: always the main one
            how["preexec_fn"] = _tie_to_parent(death_signal, os.getpid())
        if user:
            how |= {"user": user, "group": user, "extra_groups": []}
        with open(self.log, "ab") as out:
            self._popen = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, **how
            )
        self.pid = self._popen.pid

    def running(self):
        return self._popen.poll() is None

    def is_stopped(self):
        """True after SIGSTOP has reached it."""
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def send(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, within):
        """Returns the exit code; negative: the signal that ended it."""
        try:
            return self._popen.wait(within * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.name} did not end within {within * PATIENCE:g} s; log: {self.log}") from None

    def stop(self, within=15, number=signal.SIGTERM):
        """Asks it to end and returns its exit code; one that does not obey is killed, and that is an error."""
        self.send(number)
        try:
            return self.wait(within)
        except Late:
            self.kill()
            raise

    def kill(self):
        """kill -9, reaped."""
        self.send(signal.SIGKILL)
        return self._popen.wait()

    def output(self):
        return self.log.read_text(errors="replace")
