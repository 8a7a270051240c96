#!/usr/bin/env python3
"""Compares what documents quote with what the programs print, so that neither can change alone.

    documents.py --check BIN    fails on a difference
    documents.py --write BIN    puts the programs' words into the documents

In Markdown a quoted part stands in a fenced block under a line `<!-- printed by: PROGRAM ARGUMENTS -->`. A sample
configuration is quoted whole: its first line is `# printed by: PROGRAM ARGUMENTS`.
"""

import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- printed by: ([^\n]+?) -->\n+```\w*\n)(.*?)(\n?```)", re.S)
WHOLE = re.compile(r"\A(# printed by: ([^\n]+)\n)(.*)\Z", re.S)


def documents():
    for pattern in ("*.md", "docs/*.md", "config/*.conf", "config/*.md"):
        yield from sorted(ROOT.glob(pattern))


def output_of(bin_folder, command):
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [bin_folder / program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def renewed(path, bin_folder):
    """The document as it should be, and how many parts of it are quoted."""
    text = path.read_text()
    if path.suffix == ".conf":
        return WHOLE.subn(lambda m: m[1] + output_of(bin_folder, m[2]), text)
    return BLOCK.subn(lambda m: m[1] + output_of(bin_folder, m[2]).rstrip("\n") + "\n```", text)


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("--check", "--write"):
        print(__doc__, file=sys.stderr)
        return 64
    mode, bin_folder = arguments[0], pathlib.Path(arguments[1]).resolve()
    quotes = {path: renewed(path, bin_folder) for path in documents()}
    different = [path for path, (text, _) in quotes.items() if text != path.read_text()]
    for path in different:
        if mode == "--write":
            path.write_text(quotes[path][0])
        print(f"{path.relative_to(ROOT)}: {'written' if mode == '--write' else 'is not what the program prints'}")
    total = sum(count for _, count in quotes.values())
    print(f"{total} quoted parts")
    if not any(count for path, (_, count) in quotes.items() if path.name == "README.md"):
        print("README.md quotes nothing: the state diagram is missing")
        return 1
    return 1 if different and mode == "--check" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
