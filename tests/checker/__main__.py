"""python -m checker FOLDER

Prints each violation with the invariant that it breaks, then the run in figures. Exit: 0 all is as it must be, 1 it is
not, or the folder is no recording of a run; 64 usage.
"""

import sys

from .invariants import INVARIANTS, check
from .run import Unusable, read
from .summary import figures

MOST = 20  # sentences told of one invariant


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        run = read(arguments[0])
        violations = check(run)
        told = figures(run)
    except Unusable as fault:
        print(f"unusable: {fault}")
        return 1
    for invariant in INVARIANTS:
        sentences = [sentence for id, sentence in violations if id == invariant.id]
        for sentence in sentences[:MOST]:
            print(f"{invariant.id} ({invariant.words}): {sentence}")
        if len(sentences) > MOST:
            print(f"{invariant.id}: {len(sentences) - MOST} more")
    print(", ".join(f"{what} {number}" for what, number in told.items()))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
