#!/usr/bin/env python3
"""The shape of the C sources: functions stay short, includes go one way, and some calls are not made at all.

Functions: median at most 20 lines, none over 100. Includes: common knows nobody, programs know only common.
"""

import pathlib
import re
import statistics
import sys

import lizard

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("common", "consumer", "producer-shim", "cli")
MEDIAN, LONGEST = 20, 100
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca)\s*\(")
INCLUDE = re.compile(r'^#include "([\w-]+)/', re.M)
LITERAL_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)


def sources():
    for folder in FOLDERS:
        yield from sorted(p for p in (ROOT / folder).rglob("*.[ch]"))


def function_faults():
    lengths = []
    for path in sources():
        for function in lizard.analyze_file(str(path)).function_list:
            lines = function.end_line - function.start_line + 1
            lengths.append(lines)
            if lines > LONGEST:
                yield f"{path.relative_to(ROOT)}:{function.start_line}: {function.name} has {lines} lines"
    if not lengths:
        yield "no functions found"
        return
    median = statistics.median(lengths)
    print(f"{len(lengths)} functions, median {median:g} lines, longest {max(lengths)}")
    if median > MEDIAN:
        yield f"the median function has {median:g} lines, more than {MEDIAN}"


def text_faults():
    for path in sources():
        folder, text = path.relative_to(ROOT).parts[0], path.read_text()
        for match in INCLUDE.finditer(text):
            if match[1] in FOLDERS and match[1] not in ("common", folder):
                yield f"{path.relative_to(ROOT)}: {folder} includes {match[1]}"
        for match in BANNED.finditer(LITERAL_OR_COMMENT.sub("", text)):
            yield f"{path.relative_to(ROOT)}: {match[1]}() is not used in this house"


def main():
    faults = [*function_faults(), *text_faults()]
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
