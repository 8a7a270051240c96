"""Which faults there are: for what a program was seen to call, the n-th of it, in each way in which it can fail."""

import dataclasses
import errno

ALLOCATIONS = ("malloc", "calloc", "realloc", "memalign")
SHORT = 0  # half of the bytes
# Whose allocations are so many that each k-th must do: at most so many runs.
SAMPLED = {"librdkafka": 40, "libcrypto": 40, "libssl": 20, "other": 40, "libsqlite3": 250, "libmicrohttpd": 250}
CONNECTING = ("socket", "connect", "bind", "getsockname", "setsockopt")
POSITIONS = 8  # of one call, in one way
NET = (errno.ECONNRESET, errno.EINTR)
WAYS = {
    "read": (errno.EIO, errno.EINTR, SHORT),
    "write": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "pread64": (errno.EIO, SHORT),
    "pwrite64": (errno.EIO, errno.ENOSPC, SHORT),
    "readv": (errno.EIO, SHORT),
    "writev": (errno.EIO, SHORT),
    "recv": (*NET, SHORT),
    "recvfrom": NET,
    "recvmsg": (*NET, SHORT),
    "send": (*NET, SHORT),
    "sendto": NET,
    "sendmsg": (*NET, SHORT),
    "connect": (errno.ECONNREFUSED, errno.ENETUNREACH),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "socketpair": (errno.EMFILE,),
    "accept4": (errno.EMFILE, errno.ECONNABORTED),
    "open": (errno.EMFILE, errno.EACCES),
    "open64": (errno.EMFILE, errno.EIO),
    "fsync": (errno.EIO,),
    "fdatasync": (errno.EIO, errno.ENOSPC),
    "ftruncate64": (errno.EIO,),
    "epoll_create1": (errno.EMFILE,),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "epoll_wait": (errno.EINTR,),
    "epoll_pwait": (errno.EINTR,),
    "eventfd": (errno.EMFILE,),
    "signalfd": (errno.EMFILE,),
    "pipe": (errno.EMFILE,),
    "pipe2": (errno.EMFILE,),
    "poll": (errno.EINTR, errno.ENOMEM),
    "mmap64": (errno.ENOMEM,),
    "setsockopt": (errno.ENOBUFS,),
    "bind": (errno.EADDRINUSE,),
    "listen": (errno.EADDRINUSE,),
    "getsockname": (errno.ENOBUFS,),
    "ioctl": (errno.EINVAL,),
    "fstat64": (errno.EIO,),
    "stat64": (errno.EIO,),
    "unlink": (errno.EIO,),
    "pthread_create": (errno.EAGAIN,),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    call: str  # "": an allocation
    origin: str
    nth: int
    times: int = 1
    error: int = 0

    def __str__(self) -> str:
        what = self.call or "allocation"
        how = f", {errno.errorcode.get(self.error, 'half of it')}" if self.call else ""
        return f"{what} {self.nth} of {self.origin}{how}{f', {self.times} in a row' if self.times > 1 else ''}"


def spread(count: int, most: int) -> list[int]:
    """1 to count, or so many of them at even distances."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + (count - 1) * i // (most - 1) for i in range(most)})


def allocations(counts: dict[tuple[str, str], int]) -> list[Fault]:
    """Each once; and of those by libraries each seventh as the first of three in a row."""
    totals: dict[str, int] = {}
    for (call, origin), count in counts.items():
        if call in ALLOCATIONS:
            totals[origin] = totals.get(origin, 0) + count
    found = []
    for origin, total in sorted(totals.items()):
        for nth in spread(total, SAMPLED.get(origin, total)):
            found.append(Fault("", origin, nth))
        if origin != "program":
            found += [Fault("", origin, nth, times=3) for nth in spread(total, SAMPLED.get(origin, total))[::7]]
    return found


def calls(counts: dict[tuple[str, str], int]) -> list[Fault]:
    return [
        Fault(call, origin, nth, error=error)
        for (call, origin), count in sorted(counts.items())
        for error in WAYS.get(call, ())
        for nth in spread(count, POSITIONS)
    ]
