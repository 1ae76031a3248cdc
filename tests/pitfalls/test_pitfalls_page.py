"""docs/pitfalls.md names all 42 pitfalls and, for each, a test that exists and a naive version that is seen to fail."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "pitfalls.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| .* \| `(test_\w+)` \|$", PAGE.split("## Where")[0], re.MULTILINE)
SHORT = re.findall(r"^\| (\d+) \| .* \| `(test_\w+)` \|$", PAGE.split("## Where")[1], re.MULTILINE)


def collected() -> dict[str, ast.AST]:
    """Every test of this folder by name."""
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    found = [n for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = [n.name for n in found if n.name.startswith("test_")]
    assert len(names) == len(set(names))
    return {n.name: n for n in found}


TESTS = collected()


def is_expected_to_fail(name: str) -> bool:
    return any("xfail" in ast.unparse(mark) for mark in TESTS[name].decorator_list)


def test_all_42_are_there_in_order():
    assert [int(number) for number, _ in ROWS] == list(range(1, 43))


@pytest.mark.parametrize(("number", "test"), [*ROWS, *SHORT])
def test_the_named_test_exists_and_is_of_that_pitfall(number, test):
    assert test in TESTS
    assert test.startswith(f"test_pitfall_{int(number):02}_")


@pytest.mark.parametrize("number", range(1, 43))
def test_a_naive_version_is_seen_to_fail(number):
    naive = [name for name in TESTS if name.startswith(f"test_pitfall_{number:02}_the_naive_version")]
    assert naive
    assert all("caught" in ast.unparse(TESTS[name]) for name in naive)
    assert not any(is_expected_to_fail(name) for name in naive)


def test_the_page_names_every_shortcoming_and_nothing_else():
    assert {test for _, test in SHORT} == {name for name in TESTS if is_expected_to_fail(name)}
