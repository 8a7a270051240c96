"""python -m chaos [--seed N | --seeds A-B] [--minutes M] [--plan] [--keep FOLDER] [--rooms N] [--mutant N]

Three brokers, Postgres, two shims, three consumers and an application, with random faults that follow from the seed; then
the checker. Without a seed one is chosen. Exit: 0 all promises were kept, 1 one was not, 64 usage.
"""

import argparse
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import traceback

from checker.mutants import MUTANTS
from harness.processes import end_with_parent

from chaos import run, schedule


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__.splitlines()[2])
    parser.add_argument("--seed", type=int, help="of one run; without it a random one")
    parser.add_argument("--seeds", help="A-B: a run with each of them, one after the other")
    parser.add_argument("--minutes", type=float, default=5, help="of faults, for each run (5)")
    parser.add_argument("--plan", action="store_true", help="print what would be done, and when")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for all that a run leaves, whatever its end")
    parser.add_argument("--rooms", type=float, default=12, help="rooms that begin in a second, on the average (12)")
    parser.add_argument(
        "--mutant", type=int, help="put in the SQL of a fault of checker/mutants.py: the run must turn red"
    )
    return parser.parse_args(arguments)


def seeds_of(asked: argparse.Namespace) -> list[int]:
    if asked.seeds:
        first, _, last = asked.seeds.partition("-")
        return list(range(int(first), int(last or first) + 1))
    return [random.SystemRandom().randrange(1, 1_000_000) if asked.seed is None else asked.seed]


def tell(line: str) -> None:
    """In place on a terminal."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {line}", end="", flush=True)
    else:
        print(f"  {line}", flush=True)


def one(seed: int, asked: argparse.Namespace) -> bool:
    folder = (
        pathlib.Path(tempfile.mkdtemp(prefix=f"roomclaim-chaos-{seed}-")) if not asked.keep else asked.keep / str(seed)
    )
    folder.mkdir(parents=True, exist_ok=bool(not asked.keep))
    folder.chmod(0o755)  # the user postgres must reach its folder
    try:
        result = run.run(run.Asked(seed, asked.minutes, folder, asked.rooms, asked.mutant, tell))
    except Exception:
        result = run.Result(False, traceback.format_exc(), f"seed {seed}: the run did not come to its end")
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if not result.is_good:
        print(result.words)
    print(result.line + ("" if result.is_good else ": FAILED"), flush=True)
    if not result.is_good:
        print(f"all is kept in {folder}; the same faults again: ./dev chaos --seed {seed} --minutes {asked.minutes:g}")
    elif not asked.keep:
        shutil.rmtree(folder)
    return result.is_good


def main(arguments: list[str]) -> int:
    try:
        asked = options(arguments)
        seeds = seeds_of(asked)
    except ValueError:
        print("chaos: --seeds takes two numbers, A-B", file=sys.stderr)
        return 64
    except SystemExit as end:
        return 64 if end.code else 0
    if asked.mutant is not None and not any(m.sql for m in MUTANTS[asked.mutant - 1 : asked.mutant]):
        print(
            f"chaos: mutant {asked.mutant} is compiled, not SQL: build it, and name it by ROOMCLAIM_BIN",
            file=sys.stderr,
        )
        return 64
    if asked.plan:
        for seed in seeds:
            print(f"seed {seed}, {asked.minutes:g} minutes:", *schedule.plan(seed, asked.minutes), sep="\n")
        return 0
    failed = [seed for seed in seeds if not one(seed, asked)]
    if len(seeds) > 1:
        print(f"{len(seeds)} seeds, {len(failed)} failed" + (f": {', '.join(map(str, failed))}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
