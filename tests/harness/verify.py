"""Sends the webhook of one finished room several times at once to a running shim, and counts the model calls.

    tests/verify-duplicates --room RM_... --url http://127.0.0.1:8080/webhook --database postgresql://... [--copies 10]

The room needs a row with status `initiated`: the analysis is really made, once. The key and secret come from the
environment, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, as LiveKit and the shim have them. The database is only read, through
a login that is a member of the role roomclaim_reader.

Exit: 0 exactly one call, 1 none or several or not in time, 64 usage, 69 the shim or the database can't be reached, or psycopg is missing.
"""

import argparse
import collections
import os
import pathlib
import sys

try:
    import psycopg
except ImportError:
    psycopg = None

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import livekit  # noqa: E402
from harness.processes import Late, until  # noqa: E402

CALLS = """SELECT outcome, started_at, ended_at FROM roomclaim.call
    WHERE room_sid = %s AND outcome IS DISTINCT FROM 'not_sent' ORDER BY id"""
STATE = "SELECT state::text, reason FROM roomclaim.room WHERE room_sid = %s"
AT_REST = ("done", "parked")


def arguments():
    parser = argparse.ArgumentParser(
        prog="verify-duplicates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--room", required=True, metavar="SID", help="sid of a room whose row is initiated")
    parser.add_argument("--url", required=True, help="where the shim takes webhooks")
    parser.add_argument("--database", required=True, metavar="URI", help="a login with the role roomclaim_reader")
    parser.add_argument("--copies", type=int, default=10, metavar="N", help="sent at the same moment (10)")
    parser.add_argument("--within", type=float, default=120, metavar="SECONDS", help="for the analysis (120)")
    try:
        return parser.parse_args()
    except SystemExit as end:
        raise SystemExit(64 if end.code else 0) from None


def send(options, key, secret):
    body = livekit.room_finished(options.room)
    signed = (body, livekit.token(body, key, secret))
    answers = collections.Counter(a.status for a in livekit.post_at_once(options.url, [signed] * options.copies))
    print(
        f"sent {options.copies} copies at once; answered: "
        + ", ".join(f"{n} x {s}" for s, n in sorted(answers.items()))
    )
    return answers


def wait_at_rest(db, options):
    """The room's state once nothing more can happen to it."""

    def at_rest():
        row = db.execute(STATE, (options.room,)).fetchone()
        return row if row and row[0] in AT_REST else None

    def now():
        row = db.execute(STATE, (options.room,)).fetchone()
        return "the room is at rest; it is " + (f"{row[0]} {row[1] or ''}" if row else "not known to roomclaim")

    return until(at_rest, options.within, now)


def verify(options, key, secret):
    with psycopg.connect(options.database, autocommit=True) as db:
        before = db.execute(CALLS, (options.room,)).fetchall()
        if before:
            print(f"{options.room} has {len(before)} model calls already: take a room whose row is initiated")
            return 1
        answers = send(options, key, secret)
        if set(answers) != {200}:
            print("the shim did not take all of them")
            return 1
        state, reason = wait_at_rest(db, options)
        calls = db.execute(CALLS, (options.room,)).fetchall()
    print(f"the room is {state}" + (f", {reason}" if reason else ""))
    for outcome, begun, ended in calls:
        print(
            f"model call: {outcome}, begun {begun:%H:%M:%S.%f}"
            + (f", {(ended - begun).total_seconds():.3f} s" if ended else "")
        )
    print(f"{options.copies} webhooks, {len(calls)} model call{'' if len(calls) == 1 else 's'}")
    return 0 if len(calls) == 1 else 1


def main():
    options = arguments()
    if not psycopg:
        print("psycopg 3 is missing: `./dev setup` installs it, or `pip install psycopg[binary]`", file=sys.stderr)
        return 69
    key, secret = os.environ.get("LIVEKIT_API_KEY"), os.environ.get("LIVEKIT_API_SECRET")
    if not key or not secret or options.copies < 1:
        print("LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be set, --copies at least 1", file=sys.stderr)
        return 64
    try:
        return verify(options, key, secret)
    except Late as late:
        print(late, file=sys.stderr)
        return 1
    except (psycopg.OperationalError, OSError) as error:
        print(f"not reached: {error}", file=sys.stderr)
        return 69


if __name__ == "__main__":
    sys.exit(main())
