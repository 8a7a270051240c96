"""The page that a test shares with torture.c in one of our programs: what is to fail there, and what has."""

import mmap
import pathlib
import struct

FAIL, CUT = 1, 2
ANY_ALLOCATION = -1
(ARMED, CALL, ORIGIN, NTH, TIMES, ERROR, SEEN, HITS, PASSED, CUT_OFF, CRASHED, CRASHED_IN) = range(12)
WORD, WHERE, CALLS, ORIGINS, COUNTS = 96, 128, 256, 896, 1056
SIZE = 65536


class Page:
    def __init__(self, path: pathlib.Path):
        self.path = path
        with path.open("wb") as file:
            file.truncate(SIZE)
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), SIZE)

    def fail(self, call: str, origin: str, nth: int, *, times: int = 1, error: int = 0) -> None:
        """call "": any allocation; origin "": whoever calls; error 0: half of the bytes only."""
        number = self._names(CALLS, ORIGINS).index(call) if call else ANY_ALLOCATION
        self._begin(number, self._origin(origin), nth, times, error)
        self._set(ARMED, FAIL)

    def cut(self, word: str, origin: str, after: int) -> None:
        """The answer to what says `word` is cut off after so many bytes."""
        self._begin(0, self._origin(origin), after, 1, 0)
        self._bytes[WORD:WHERE] = word.encode().ljust(WHERE - WORD, b"\0")
        self._set(ARMED, CUT)

    def disarm(self) -> None:
        self._set(ARMED, 0)

    def is_hit(self) -> bool:
        return self._get(HITS) > 0 or self._get(CUT_OFF) > 0

    def passed(self) -> int:
        """Bytes of the answer that came through."""
        return self._get(PASSED)

    def where(self) -> str:
        return self._text(WHERE, CALLS)

    def crashed_in(self) -> str | None:
        """Whose code has ended the process by a signal; None: it was not ended so."""
        return self._names(ORIGINS, COUNTS)[self._get(CRASHED_IN) - 1] if self._get(CRASHED) else None

    def counts(self) -> dict[tuple[str, str], int]:
        """{(call, origin): how often} since the process began, without what was never called."""
        calls, origins = self._names(CALLS, ORIGINS), self._names(ORIGINS, COUNTS)
        found = {}
        for i, call in enumerate(calls):
            for j, origin in enumerate(origins):
                count = struct.unpack_from("q", self._bytes, COUNTS + 8 * (i * len(origins) + j))[0]
                if count:
                    found[call, origin] = count
        return found

    def forget(self) -> None:
        """For the next process: everything but the names."""
        self._bytes[:CALLS] = bytes(CALLS)
        self._bytes[COUNTS:] = bytes(SIZE - COUNTS)

    def _begin(self, call: int, origin: int, nth: int, times: int, error: int) -> None:
        self.disarm()
        for place, value in ((CALL, call), (ORIGIN, origin), (NTH, nth), (TIMES, times), (ERROR, error)):
            self._set(place, value)
        for place in (SEEN, HITS, PASSED, CUT_OFF):
            self._set(place, 0)
        self._bytes[WHERE:CALLS] = bytes(CALLS - WHERE)

    def _origin(self, name: str) -> int:
        return self._names(ORIGINS, COUNTS).index(name) if name else -1

    def _names(self, start: int, end: int) -> list[str]:
        return self._text(start, end).split()

    def _text(self, start: int, end: int) -> str:
        return self._bytes[start:end].split(b"\0")[0].decode()

    def _get(self, place: int) -> int:
        return struct.unpack_from("q", self._bytes, 8 * place)[0]

    def _set(self, place: int, value: int) -> None:
        struct.pack_into("q", self._bytes, 8 * place, value)
