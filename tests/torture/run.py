"""Runs: a fault, what the program does about it, and in the end all promises, by the independent checker."""

import collections
import time

from harness.processes import Late, until
from harness.programs import Daemon

from torture.faults import CONNECTING, Fault, allocations, calls
from torture.page import Page
from torture.subjects import UP_WITHIN, Subject

WITHIN = 30  # Postgres that does not answer is given up after 20 s
TRIES = 3
ENDS = (1, 69, 78)
STOPS = (0, 2)  # with work left
LOADER_ENDS = 127  # the C library's loader: no memory for a thread
COSTLY = ("libcurl", "libssl", "libcrypto", "libjson_c")  # a fault there may lose a model's answer: another call


class Broken(AssertionError):
    pass


class NotHit(Broken):
    """Its n-th time did not come: threads take turns as they like, so it is tried again."""


class Torture:
    """One subject, many faults. A process serves as many runs as it lives through."""

    def __init__(self, subject: Subject, page: Page):
        self.subject, self.page = subject, page
        self.victim: Daemon | None = None
        self.outcomes: collections.Counter = collections.Counter()

    def faults(self, kind: str, phase: str) -> list[Fault]:
        """By a run without any: what the program calls on the way."""
        begun = self._started()
        self._work_once(begun)
        before = {} if phase == "start" else self.page.counts()
        if phase == "main":
            self._work_once(begun)
        counts = {key: n - before.get(key, 0) for key, n in self.page.counts().items() if n > before.get(key, 0)}
        if phase == "start":
            self._end()
        if phase == "main":  # connections to the model are kept: another one may never come
            counts = {key: n for key, n in counts.items() if key[0] not in CONNECTING or key[1] != "libcurl"}
        return allocations(counts) if kind == "allocations" else calls(counts)

    # --- one run

    def run(self, fault: Fault, phase: str) -> None:
        for _ in range(TRIES - 1):
            try:
                return self._run(fault, phase)
            except NotHit:
                self.give_up()
        return self._run(fault, phase)

    def _run(self, fault: Fault, phase: str) -> None:
        (self.at_the_start if phase == "start" else self.in_the_middle)(fault)

    def in_the_middle(self, fault: Fault) -> None:
        """The program is at work when the fault comes."""
        victim = self.victim if self.victim and self.victim.child.running() else self._started()
        begun = time.time()
        self._arm(fault)
        done = self._work_until_hit(victim, fault)
        self._wait(lambda: self._is_over(victim) or done(), fault, "it goes on, or ends")
        self._judge(victim, fault, begun)

    def at_the_start(self, fault: Fault) -> None:
        self.subject.prepare()
        self.page.forget()
        self._arm(fault)
        begun = time.time()
        victim = self.victim = self.subject.start()
        self._wait(lambda: self._is_over(victim) or self.subject.is_up(victim), fault, "it starts, or ends")
        if not self._is_over(victim):
            done = self._work_until_hit(victim, fault)
            self._wait(lambda: self._is_over(victim) or done(), fault, "it goes on, or ends")
        self._judge(victim, fault, begun)
        self._end(str(fault))
        self.subject.forget()

    def heal(self) -> None:
        self.page.disarm()
        self._end()
        self.subject.heal()

    def give_up(self) -> None:
        """After a run that broke: the next one begins with a new process."""
        self.page.disarm()
        if self.victim and not self._is_over(self.victim):
            self.subject.run.kill(self.victim)
        self.subject.forget()
        self.victim = None

    # --- its parts

    def _arm(self, fault: Fault) -> None:
        self.page.fail(fault.call, fault.origin, fault.nth, times=fault.times, error=fault.error)

    def _started(self) -> Daemon:
        self.subject.prepare()
        self.page.forget()
        self.victim = victim = self.subject.start()
        until(lambda: self._is_over(victim) or self.subject.is_up(victim), UP_WITHIN, victim.tail)
        self._work_once(victim)
        return victim

    def _work_once(self, victim: Daemon) -> None:
        done = self.subject.work()
        until(lambda: self._is_over(victim) or done(), WITHIN, lambda: f"a piece of work\n{victim.tail()}")
        if self._is_over(victim):
            raise Broken(f"it ended without a fault, with {victim.ended}\n{victim.tail()}")

    def _work_until_hit(self, victim: Daemon, fault: Fault):
        """Piece by piece until the fault has come; returns what says that the last piece is done."""
        deadline = time.monotonic() + WITHIN
        while True:
            done = self.subject.work()
            self._wait(lambda d=done: self._is_over(victim) or self.page.is_hit() or d(), fault, "a piece of work")
            if self.page.is_hit() or self._is_over(victim):
                return done
            if time.monotonic() > deadline:
                raise NotHit(f"{fault}: not hit\n{victim.tail()}")

    def _wait(self, condition, fault: Fault, what: str) -> None:
        try:
            until(condition, WITHIN, what)
        except Late as late:
            victim = self.victim
            raise Broken(f"{fault} ({self.page.where()}): {late}\n{victim.tail(15) if victim else ''}") from None

    def _is_over(self, victim: Daemon) -> bool:
        if victim.ended is None and not victim.child.running():
            victim.ended = victim.child.wait(1)
        return victim.ended is not None

    def _judge(self, victim: Daemon, fault: Fault, begun: float) -> None:
        page, what = self.page, f"{fault} ({self.page.where()})"
        hit = page.is_hit()
        page.disarm()
        ended = self._is_over(victim)
        with (self.subject.world.folder / "runs").open("a") as file:
            file.write(f"{time.time() - begun:6.2f} s  ended {victim.ended}  {what}\n")
        if not hit:
            raise NotHit(f"{what}: not hit, ended with {victim.ended}\n{victim.tail(15)}")
        if ended:
            self.subject.forget()
        if ended or fault.origin in COSTLY:
            self.subject.run.fault("kill" if ended else "cut", victim, t=begun, until=time.time())
        if not ended:
            self.outcomes["answered"] += 1
        elif victim.ended in ENDS and says_why(victim):
            self.outcomes["ended with a line"] += 1
        elif fault.origin != "program" and (page.crashed_in() not in (None, "program") or victim.ended == LOADER_ENDS):
            self.outcomes[f"ended by {page.crashed_in() or 'the loader'}"] += 1
        else:
            raise Broken(f"{what}: ended with {victim.ended} in {page.crashed_in()}\n{victim.tail(15)}")

    def _end(self, after: str = "no fault") -> None:
        """The process that lives, if one does."""
        victim = self.victim
        if victim and not self._is_over(victim):
            code = victim.ended = victim.child.stop(25)
            if code < 0 and self.page.crashed_in() not in (None, "program"):
                self.outcomes[f"ended by {self.page.crashed_in()}"] += 1
            elif code not in STOPS:
                raise Broken(f"told to stop after {after}, it ended with {code}\n{victim.tail()}")
        self.victim = None


def says_why(victim: Daemon) -> bool:
    last = victim.child.output().strip().splitlines()
    errors = [line for line in victim.log() if line["level"] == "error"]
    return bool(errors) or any(line.startswith(victim.program + ":") for line in last[-3:])
