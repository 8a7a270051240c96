#!/usr/bin/env python3
"""Compares what documents quote with what the programs print, and with the tests' table of faults, so that neither can
change alone.

documents.py --check BIN    fails on a difference
documents.py --write BIN    puts those words into the documents
"""

import pathlib
import re
import subprocess
import sys

import faults

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


def quotes(bin_folder):
    """(document, part, who says it, what it should be)"""
    for name, part, command in QUOTES:
        yield name, part, f"`{' '.join(command)}`", output_of(bin_folder, command)
    yield "tests/README.md", faults.SECTION, "the tests' `shows`", faults.render()


def differences(mode, bin_folder):
    for name, part, source, printed in quotes(bin_folder):
        text = (ROOT / name).read_text()
        renewed, found = part.subn(lambda _, printed=printed: printed, text, count=1)
        if not found:
            yield f"{name}: there is no place for the words of {source}"
        elif renewed != text and mode == "--write":
            (ROOT / name).write_text(renewed)
            print(f"{name}: written")
        elif renewed != text:
            yield f"{name}: differs from {source}; ./dev docs writes it"


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("--check", "--write"):
        print(__doc__, file=sys.stderr)
        return 64
    try:
        found = list(differences(arguments[0], pathlib.Path(arguments[1]).resolve()))
    except faults.Wrong as fault:
        found = [str(fault)]
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
