import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.nodes import MAX_DEPTH, MAX_VALUES, Node
from fastroute.config.problems import Problems, Spot
from fastroute.config.yaml_strict import LOADER, parse_yaml, scalar

LOADERS = [pytest.param(yaml.SafeLoader, id="python"), pytest.param(LOADER, id="fastest")]


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> Any:
    return request.param


def read(text: str, loader: Any = LOADER) -> tuple[Node | None, list[str]]:
    problems = Problems("f")
    node = parse_yaml(text, problems, loader)
    return node, [f"{p.line}:{p.col}: {p.message}" for p in problems.sorted()]


def plain(text: str, loader: Any = LOADER) -> Any:
    node, messages = read(text, loader)
    assert messages == []
    assert node is not None
    return node.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("3.10", 3.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        (".inf", math.inf),
        ("2024-10-21", "2024-10-21"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("9" * 20, 1e20),
        ("9" * 5000, "9" * 5000),
        ("=", "="),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(scalar(".NaN"))


def test_quoted_scalars_are_texts(loader: Any) -> None:
    assert plain("a: ['12', \"true\", '', 'null']", loader) == {"a": ["12", "true", "", "null"]}


def test_block_scalars_and_tags_for_text(loader: Any) -> None:
    assert plain("a: |\n  12\nb: !!str 12\nc: ! 13\n", loader) == {"a": "12\n", "b": "12", "c": "13"}


def test_every_value_knows_its_place(loader: Any) -> None:
    node, _ = read("a:\n  b: [1, two]\n", loader)
    assert node is not None
    assert node.key_spot("a") == Spot(1, 1)
    inner = node.get("a")
    assert inner is not None
    assert inner.key_spot("b") == Spot(2, 3)
    assert [child.spot for child in inner.get("b").elements()] == [Spot(2, 7), Spot(2, 10)]  # type: ignore[union-attr]


def test_columns_count_characters_not_bytes(loader: Any) -> None:
    node, _ = read("{é: ü, a: 1}", loader)
    assert node is not None
    assert node.key_spot("a") == Spot(1, 8)


def test_a_key_given_twice_is_a_problem_and_the_rest_is_still_read(loader: Any) -> None:
    node, messages = read("a: 1\nb: 2\na: 3\nb: 4\n", loader)
    assert messages == ["3:1: key 'a' is given twice (first in line 1)", "4:1: key 'b' is given twice (first in line 2)"]
    assert node is not None
    assert node.plain() == {"a": 1, "b": 2}


def test_keys_are_texts(loader: Any) -> None:
    assert plain("404: a\nno: b\ntrue: c\n", loader) == {"404": "a", "no": "b", "true": "c"}


def test_merges(loader: Any) -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none: {<<: *b, y: 9}\ntwo: {<<: [*b, *m]}\nthree: {y: 8, <<: *m}\n"
    got = plain(text, loader)
    assert got["one"] == {"x": 1, "y": 9}
    assert got["two"] == {"x": 1, "y": 2, "z": 4}
    assert got["three"] == {"y": 8, "z": 4}


def test_a_merged_key_has_the_place_where_it_is_written(loader: Any) -> None:
    node, _ = read("base: &b\n  x: 1\none:\n  <<: *b\n", loader)
    assert node is not None
    one = node.get("one")
    assert one is not None
    assert one.key_spot("x") == Spot(2, 3)


def test_a_quoted_merge_key_is_an_ordinary_key(loader: Any) -> None:
    assert plain('a: {"<<": 1}', loader) == {"a": {"<<": 1}}


@pytest.mark.parametrize("value", ["1", "[1]", "[{a: 1}, 2]", "text"])
def test_only_mappings_can_be_merged(value: str, loader: Any) -> None:
    _, messages = read(f"a: {{<<: {value}}}", loader)
    assert len(messages) == 1
    assert "'<<' merges a mapping" in messages[0]


@pytest.mark.parametrize("tag", ["!!python/object:os.system", "!!int", "!mine", "!!binary", "!!set"])
def test_tags_are_refused(tag: str, loader: Any) -> None:
    _, messages = read(f"a: {tag} x\n", loader)
    assert len(messages) == 1
    assert messages[0].startswith("1:4: tag ")


def test_a_tag_on_a_collection_is_refused(loader: Any) -> None:
    assert "tag" in read("a: !!omap [x: 1]\n", loader)[1][0]


@pytest.mark.parametrize("text", ["? [a]\n: b\n", "? {a: 1}\n: b\n", "&x y: 1\n*x : 2\n"])
def test_a_key_must_be_text(text: str, loader: Any) -> None:
    assert any("a key must be plain text" in message for message in read(text, loader)[1])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("a: [1\nb: 2\n", "2:"),
        ("a:\n\tb: 1\n", "2:1"),
        ("a: b: c\n", "1:5"),
        ("a: 'open\n", "2:1"),
        ("a: *x\n", "1:4"),
        ("@", "1:1"),
    ],
)
def test_syntax_errors_have_a_place(text: str, at: str, loader: Any) -> None:
    node, messages = read(text, loader)
    assert node is None
    assert len(messages) == 1
    assert messages[0].startswith(at)


def test_a_bare_variable_in_braces_is_explained(loader: Any) -> None:
    assert 'put "${...}" in quotes' in read("listen: {port: ${PORT}}\n", loader)[1][0]


def test_control_characters_have_a_place(loader: Any) -> None:
    node, messages = read("a: 1\nb: x\x01\n", loader)
    assert node is None
    assert "not allowed in a text file" in messages[0]
    assert messages[0].startswith("2:5") or loader is not yaml.SafeLoader  # libyaml tells no offset


def test_one_document_only(loader: Any) -> None:
    node, messages = read("a: 1\n---\nb: 2\n", loader)
    assert node is None
    assert messages == ["2:1: a second document begins here; a configuration is one document"]


def test_a_leading_document_mark_is_fine(loader: Any) -> None:
    assert plain("%YAML 1.2\n---\na: 1\n...\n", loader) == {"a": 1}


@pytest.mark.parametrize("text", ["# nothing\n", "---\n"])
def test_an_empty_document(text: str, loader: Any) -> None:
    node, messages = read(text, loader)
    assert node is None or node.value is None
    assert node is not None or messages == ["1:1: the file is empty"]


def test_a_bomb_of_aliases_is_refused_while_it_is_read(loader: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    node, messages = read("\n".join(lines), loader)
    assert node is None
    assert f"more than {MAX_VALUES:,} values" in messages[0]
    assert messages[0].startswith("4:")


def test_a_value_that_contains_itself_is_refused(loader: Any) -> None:
    node, messages = read("a: &a [*a]\n", loader)
    assert node is None
    assert messages[0].startswith("1:8: alias *a refers to nothing")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_without_recursion(opening: str, loader: Any) -> None:
    node, messages = read(opening * 5_000, loader)
    assert node is None
    assert "nested" in messages[0] or "nesting" in messages[0]


def test_the_deepest_allowed_nesting_is_read(loader: Any) -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH, loader)[1] == []
    assert "nested more than" in read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), loader)[1][0]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P"))),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abc", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_what_a_yaml_writer_writes_is_read_back(value: Any) -> None:
    import json

    assert plain(json.dumps(value)) == value


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    node, messages = read(text)
    assert node is not None or messages


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#\n <?%@`0", max_size=60))
def test_text_that_looks_like_yaml_is_read_or_refused(text: str) -> None:
    for loader in (yaml.SafeLoader, LOADER):
        node, messages = read(text, loader)
        assert node is not None or messages
