"""The house's numbers and words, held by tests: sizes, names, docstrings, walls. See docs/decisions/0001."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "fastroute"

MAX_FILE_LINES = 400
MAX_FUNCTION_MEDIAN_LINES = 10
MAX_FUNCTION_P95_LINES = 45
MAX_PARAMETERS = 6
MIN_TEST_RATIO = 1.0

# The outer walls: where an unexpected exception must not travel further. File -> how many broad excepts it may have, and why.
WALLS = {
    "fastroute/engine/router.py": 1,  # a sink's fault is never a request's
    "fastroute/server/data.py": 2,  # the HTTP walls, one a lane: a bug is a 500 in the client's shape, not a dead connection
    "fastroute/transport/connection.py": 1,  # what a pour's taker raises is raised in pour, not in the socket's callback
}

FORBIDDEN_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils", "base"}

# A quantity says its unit. Left: words that stand for one; right: endings that give it.
QUANTITIES = re.compile(r"(?:^|_)(?:timeout|deadline|ttft|tpot|latency|delay|interval|elapsed|age|duration|ttl|period)(?:_|$)")
UNITS = re.compile(r"_(?:s|ms|us|ns|days|pusd|usd|tokens|token|bytes|ratio|per_\w+|[a-z]+_of|_q)$")
ODD_UNITS = re.compile(r"_(?:sec|secs|seconds|msec|msecs|millis|milliseconds|micros|minutes|hours|kb|mb|kib|mib|cents|dollars)$")
NUMBERS = {"int", "float", "int | None", "float | None"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every source file by its path below the root, parsed."""
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text()) for p in sorted(SOURCE.rglob("*.py"))}


FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, FunctionNode]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, FunctionNode):
                yield f"{path}:{node.lineno} {node.name}", node


def body_lines(node: FunctionNode) -> int:
    """Lines from the first statement to the last, without the docstring; 0 for a bare `...`."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body or (len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def docstring(node: ast.AST) -> str:
    return ast.get_docstring(node) or ""  # type: ignore[arg-type]


def public_definitions() -> Iterator[tuple[str, ast.AST]]:
    """Modules, and the public classes and functions at their top."""
    for path, tree in modules().items():
        yield path, tree
        for node in tree.body:
            if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
                yield f"{path}:{node.lineno} {node.name}", node


def test_files_are_short() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCE.rglob("*.py")}
    assert {path: n for path, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    lengths = sorted((body_lines(node), where) for where, node in functions())
    counted = [n for n, _ in lengths if n]
    assert statistics.median(counted) <= MAX_FUNCTION_MEDIAN_LINES
    p95 = counted[int(len(counted) * 0.95)]
    assert p95 <= MAX_FUNCTION_P95_LINES, lengths[-10:]


def test_no_function_is_twice_the_limit() -> None:
    assert [(n, where) for where, node in functions() if (n := body_lines(node)) > 2 * MAX_FUNCTION_P95_LINES] == []


def test_there_is_at_least_a_line_of_test_for_a_line_of_source() -> None:
    source, tests = (sum(len(p.read_text().splitlines()) for p in (ROOT / top).rglob("*.py")) for top in ("fastroute", "tests"))
    assert tests / source >= MIN_TEST_RATIO, f"{tests} test lines for {source} source lines"


def broad_excepts(tree: ast.Module) -> list[int]:
    """Lines that catch, or suppress, everything. One that cleans up and raises again catches nothing."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _names_all(node.type)) and not _raises_again(node):
            found.append(node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress") and any(_names_all(a) for a in node.args):
            found.append(node.lineno)
    return found


def _raises_again(node: ast.ExceptHandler) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _names_all(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_names_all(item) for item in node.elts)
    return isinstance(node, ast.Name) and node.id in ("Exception", "BaseException")


def test_only_the_outer_walls_catch_everything() -> None:
    found = {path: broad_excepts(tree) for path, tree in modules().items()}
    assert {path: lines for path, lines in found.items() if len(lines) > WALLS.get(path, 0)} == {}


def parameters(node: FunctionNode) -> int:
    given = [a.arg for a in [*node.args.posonlyargs, *node.args.args]]
    return len(given) - (given[:1] in (["self"], ["cls"])) + len(node.args.kwonlyargs)


def test_functions_take_few_parameters() -> None:
    """`cli.py` is left out: a command's parameters are its options."""
    many = [
        (where, n) for where, node in functions() if (n := parameters(node)) > MAX_PARAMETERS and "fastroute/cli" not in where
    ]
    assert many == []


def words(name: str) -> set[str]:
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def test_names_say_what_a_thing_is() -> None:
    classes = [
        (f"{path}:{n.lineno}", n.name) for path, t in modules().items() for n in ast.walk(t) if isinstance(n, ast.ClassDef)
    ]
    files = [(path, Path(path).stem) for path in modules()]
    folders = [(path, Path(path).parent.name) for path in modules()]
    assert [(where, name) for where, name in classes + files + folders if words(name) & FORBIDDEN_WORDS] == []


def declared_numbers() -> Iterator[tuple[str, str]]:
    """Names annotated as a number: members of classes, module constants, parameters."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, annotation = node.target.id, node.annotation
            elif isinstance(node, ast.arg) and node.annotation is not None:
                name, annotation = node.arg, node.annotation
            else:
                continue
            if ast.unparse(annotation) in NUMBERS:
                yield f"{path}:{node.lineno}", name


GIVEN = {("fastroute/sim/loop.py", "timeout")}  # a name that the standard library's method has


def test_quantities_say_their_unit() -> None:
    assert [
        (where, name)
        for where, name in declared_numbers()
        if (where.split(":")[0], name) not in GIVEN
        and (ODD_UNITS.search(name.lower()) or (QUANTITIES.search(name.lower()) and not UNITS.search(name.lower())))
    ] == []


def is_plain_record(node: ast.AST) -> bool:
    """A class of members only, whose names and types say it all."""
    return isinstance(node, ast.ClassDef) and all(isinstance(item, ast.AnnAssign) for item in node.body)


def test_everything_public_says_what_it_is() -> None:
    silent = [where for where, node in public_definitions() if not docstring(node).strip() and not is_plain_record(node)]
    assert not silent, "\n".join(silent)


def test_a_docstring_begins_with_a_line_that_says_what() -> None:
    first = {where: docstring(node).splitlines()[0] for where, node in public_definitions() if docstring(node)}
    assert {
        where: line for where, line in first.items() if len(line.split()) < 2 or not line.rstrip().endswith((".", ":", "?"))
    } == {}


@cache
def committed_texts() -> dict[str, str]:
    """Every text file that is, or is about to be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        try:
            texts[name] = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return texts


# Written in pieces, so that this file does not find itself.
REGISTRIES = (
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "crates" + ".io",
    "proxy.go" + "lang.org",
)
MACHINES = re.compile(
    "/wo"
    + r"rk/(?:main|shared|\.library)|/ro"
    + r"ot/|/ho"
    + r"me/(?!(?:fastroute|nonroot|app)\b)\w+|\.lib"
    + r"rary/|/tmp/"
    + "brief"
)


def test_no_registry_is_named() -> None:
    assert [(name, host) for name, text in committed_texts().items() for host in REGISTRIES if host in text] == []


def test_no_path_of_a_machine_is_named() -> None:
    found = [(name, match.group()) for name, text in committed_texts().items() if (match := MACHINES.search(text))]
    assert found == []


def test_texts_end_with_a_line_end_and_have_no_carriage_returns() -> None:
    code = {name: text for name, text in committed_texts().items() if name.endswith((".py", ".md", ".toml", ".yaml", ".json"))}
    assert [name for name, text in code.items() if text and (not text.endswith("\n") or "\r" in text)] == []


# --- the measures themselves ---


def only_function(source: str) -> FunctionNode:
    node = ast.parse(source).body[0]
    assert isinstance(node, FunctionNode)
    return node


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(): ...", 0),
        ('def f():\n    """Says."""', 0),
        ('def f():\n    """Says\n\n    much.\n    """\n    a = 1\n\n    return a', 3),
        ("async def f(\n    a,\n    b,\n):\n    return a", 1),
        ("def f():\n    return [\n        1,\n    ]", 3),
    ],
)
def test_a_functions_lines_are_those_of_its_body(source: str, lines: int) -> None:
    assert body_lines(only_function(source)) == lines


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("try: a()\nexcept Exception: b()", 1),
        ("try: a()\nexcept: b()", 1),
        ("try: a()\nexcept (ValueError, BaseException) as e: b()", 1),
        ("with contextlib.suppress(Exception): a()", 1),
        ("try: a()\nexcept BaseException:\n    b()\n    raise", 0),
        ("try: a()\nexcept Exception as e:\n    raise X from e", 1),
        ("try: a()\nexcept ValueError: b()", 0),
        ("with suppress(OSError): a()", 0),
    ],
)
def test_what_catches_everything(source: str, count: int) -> None:
    assert len(broad_excepts(ast.parse(source))) == count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(): ...", 0),
        ("def f(self, a, b): ...", 2),
        ("def f(cls, a): ...", 1),
        ("def f(a, /, b, *, c, d=1): ...", 4),
    ],
)
def test_how_parameters_are_counted(source: str, count: int) -> None:
    assert parameters(only_function(source)) == count


@pytest.mark.parametrize("name", ["RequestHandler", "base_url_helper", "HTTPManager", "utils", "DataBase"])
def test_forbidden_words_are_found_in_names(name: str) -> None:
    assert words(name) & FORBIDDEN_WORDS


@pytest.mark.parametrize("name", ["Handled", "Database", "baseline", "Utility", "Managed"])
def test_longer_words_are_not_taken_for_forbidden_ones(name: str) -> None:
    assert not words(name) & FORBIDDEN_WORDS
