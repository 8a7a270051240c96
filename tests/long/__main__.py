"""python -m long [NAME...] [--minutes M]

Runs of minutes to an hour, one after the other; all of them without a NAME. --minutes: another length, for a try.
"""

import argparse
import sys
import traceback

from .busy import MINUTES, busy_application
from .ground import Ground, say
from .hour import hour
from .outages import kafka_away_unspooled, kafka_hung, kafka_killed
from .soak import soak
from .spool_empties import spool_empties

# name: (what runs on a Ground and returns its figures, minutes)
RUNS = {
    "kafka-hung": (kafka_hung, 10),
    "kafka-killed": (kafka_killed, 10),
    "kafka-away-unspooled": (kafka_away_unspooled, 2),
    "spool-empties": (spool_empties, 1),
    "hour": (hour, 60),
    "busy-application": (busy_application, MINUTES),
    "soak": (soak, 30),
}


def run(name, minutes):
    what, usual = RUNS[name]
    try:
        with Ground(name, minutes or usual) as ground:
            figures = what(ground)
    except Exception:  # noqa: BLE001 - whatever it is: the run has failed, the others go on
        traceback.print_exc()
        say(name, "FAILED")
        return False
    say(name, f"ok: {figures}")
    return True


def main():
    parser = argparse.ArgumentParser(prog="./dev long")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--minutes", type=float, help="how long the outage or the load lasts")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(RUNS):
        parser.error(f"no run {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    results = [run(name, asked.minutes) for name in asked.names or RUNS]
    print(f"{sum(results)} passed, {results.count(False)} failed, 0 skipped")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
