"""The tables of faults in tests/README.md, made from tests/faults.toml and from what the tests say that they show:

@pytest.mark.shows("F01", "F02")    a test; also in pytestmark, or as marks= of one case
/* shows F61 */                     a C function behind it, or a whole C program
# shows F95                         a program that is no pytest
SHOWS = {"F01": ["point:kill"]}     crash points (crash/shows.py)
"""

import ast
import collections
import dataclasses
import pathlib
import re
import tomllib

TESTS = pathlib.Path(__file__).resolve().parent
CRASH = TESTS / "crash" / "shows.py"
ROWS = r"((?:F\w\w)(?:, F\w\w)*)"
IN_C = re.compile(rf"/\* shows {ROWS} \*/(?:\s*static void (\w+)\(void\))?")
IN_PROGRAM = re.compile(rf"^# shows {ROWS}$(?:\ndef (\w+))?", re.M)
SECTION = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- /faults -->)", re.S)


@dataclasses.dataclass(frozen=True, order=True)
class Proof:
    """file: within tests/. name: of the test in it, or "" for all of it."""

    file: str
    name: str


class Wrong(Exception):
    pass


def read_catalogue():
    rows = tomllib.loads((TESTS / "faults.toml").read_text())
    return rows.pop("groups"), rows


def proofs():
    """[(row, Proof)] of all tests."""
    for path in sorted(TESTS.rglob("*")):
        file = path.relative_to(TESTS).as_posix()
        if path == CRASH:
            found = of_crash_points(path)
        elif path.suffix == ".py" and path != pathlib.Path(__file__):
            found = [*of_python(path), *of_programs(path)]
        elif path.suffix in (".c", ".h"):
            found = of_c(path)
        else:
            continue
        yield from ((row, Proof(file, name)) for row, name in found)


def of_python(path):
    tree = ast.parse(path.read_text())
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    found = [(row, test.name) for test in tests for node in test.decorator_list for row in marked(node)]
    of_all = [row for node in tree.body if assigned_to(node) == "pytestmark" for row in marked(node)]
    if len(found) + len(of_all) != len(list(marked(tree))):
        raise Wrong(f"{path.name}: a mark `shows` stands at no test")
    return found + [(row, test.name) for row in of_all for test in tests]


def marked(tree):
    """The rows in all calls of pytest.mark.shows below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "shows":
            yield from (ast.literal_eval(row) for row in node.args)


def assigned_to(node):
    return node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else None


def of_programs(path):
    return [(row, one[2] or "") for one in IN_PROGRAM.finditer(path.read_text()) for row in one[1].split(", ")]


def of_c(path):
    text = path.read_text(errors="replace")
    found = list(IN_C.finditer(text))
    if len(found) != text.count("/* shows "):
        raise Wrong(f"{path.name}: a comment `shows` names no rows")
    return [(row, one[2] or "") for one in found for row in one[1].split(", ")]


def of_crash_points(path):
    for node in ast.parse(path.read_text()).body:
        if assigned_to(node) == "SHOWS":
            shows = ast.literal_eval(node.value)
            return [(row, f"[{point}]") for row, points in shows.items() for point in points]
    raise Wrong(f"{path.name}: there is no SHOWS")


def render():
    """The tables as Markdown. Raises Wrong when a row is shown by nothing, or a test names none of the rows."""
    groups, rows = read_catalogue()
    shown = collections.defaultdict(set)
    for row, proof in proofs():
        shown[row].add(proof)
    if unknown := sorted(set(shown) - set(rows)):
        proof = min(shown[unknown[0]])
        raise Wrong(f"{proof.file}: {proof.name} shows {unknown[0]}, which is no row of tests/faults.toml")
    if bare := [row for row in rows if not shown[row] and "missing" not in rows[row]]:
        raise Wrong(f"no test shows {', '.join(bare)}, and no reason is given")
    return "".join(table(words, key, rows, shown) for key, words in groups.items())


def table(words, key, rows, shown):
    lines = [f"\n### {words}\n", "| | fault | expected | shown by |", "| --- | --- | --- | --- |"]
    for row in sorted(row for row in rows if row.startswith(key)):
        about = rows[row]
        told = [*cells(shown[row]), *([f"*not here:* {about['missing']}"] if "missing" in about else [])]
        lines.append(f"| {row} | {about['fault']} | {about['expect']} | {'<br>'.join(told)} |")
    return "\n".join(lines) + "\n"


def cells(found):
    """One line for each file, with its tests."""
    files = collections.defaultdict(list)
    for proof in sorted(found):
        files[proof.file].append(proof.name)
    for file, names in files.items():
        told = ", ".join(f"`{name.removeprefix('test_').strip('[]')}`" for name in names if name)
        yield f"[{title(file)}]({file}){': ' if told else ''}{told}"


def title(file):
    folder, _, name = file.rpartition("/")
    name = name.rpartition(".")[0].removesuffix("_test")
    return folder if file == "crash/shows.py" else name if folder == "scenarios" else f"{folder}/{name}"
