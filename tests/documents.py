#!/usr/bin/env python3
"""Compares what documents quote with what the programs print, so that neither can change alone.

documents.py --check BIN    fails on a difference
documents.py --write BIN    puts the programs' words into the documents
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIAGRAM = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.S)
WHOLE = re.compile(r"\A.*\Z", re.S)

# document, the part of it that is quoted, the command that prints it
QUOTES = [
    ("README.md", DIAGRAM, ["roomclaim-consumer", "--states"]),
    ("config/roomclaim.conf", WHOLE, ["roomclaim-consumer", "--print-sample"]),
    ("docs/configuration.md", WHOLE, ["roomclaim-consumer", "--print-reference"]),
]


def output_of(bin_folder, command):
    program, *arguments = command
    done = subprocess.run(
        [bin_folder / program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def faults(mode, bin_folder):
    for name, part, command in QUOTES:
        text, printed = (ROOT / name).read_text(), output_of(bin_folder, command)
        renewed, found = part.subn(lambda _, printed=printed: printed, text, count=1)
        if not found:
            yield f"{name}: there is no place for what `{' '.join(command)}` prints"
        elif renewed != text and mode == "--write":
            (ROOT / name).write_text(renewed)
            print(f"{name}: written")
        elif renewed != text:
            yield f"{name}: is not what `{' '.join(command)}` prints; ./dev docs writes it"


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("--check", "--write"):
        print(__doc__, file=sys.stderr)
        return 64
    found = list(faults(arguments[0], pathlib.Path(arguments[1]).resolve()))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
