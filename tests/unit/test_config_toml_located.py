import pytest
from config_support import lines_of, only_line, parsed
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.nodes import Node
from fastroute.config.problems import Problems
from fastroute.config.toml_located import parse_toml

GOOD = """\
version = 1

[listen]
port = 4100

[providers.openai]
api_key = "${KEY:-sk-x}"

[endpoints.mini]
provider = "openai"
model = "gpt-mini"
price = { input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.6 }

[endpoints."a.b"]
provider = "openai"
model = "other"

[routes.auto]
tiers = [["mini"], ["a.b"]]
objective.ttft_ms = 800

[[rules]]
name = "first"
when = { task = "chat" }
use = { endpoints = ["mini"] }

[[rules]]
name = "second"
when.task = "code"
use.route = "auto"
"""


def read(text: str) -> tuple[Node | None, list[str]]:
    problems = Problems("f")
    node = parse_toml(text, problems)
    return node, [f"{p.line}:{p.col}: {p.message}" for p in problems.sorted()]


def test_toml_and_yaml_mean_the_same() -> None:
    config = parsed(GOOD, filename="f.toml")
    assert config.listen.port == 4100
    assert config.routes["auto"].tiers == (("mini",), ("a.b",))
    assert config.routes["auto"].objective is not None
    assert config.routes["auto"].objective.ttft_ms == 800
    assert [rule.name for rule in config.rules or ()] == ["first", "second"]
    assert config.providers["openai"].api_key == "sk-x"


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("port = 4100", "prot = 4100", "4:1: unknown key 'prot' (did you mean 'port'?)"),
        ("port = 4100", 'port = "4100"', "4:1: listen.port: expected a whole number, got text"),
        ('model = "gpt-mini"', 'modle = "gpt-mini"', "11:1: unknown key 'modle' (did you mean 'model'?)"),
        ("mtok = 0.6", "mtok = -1", "12:38: endpoints.mini.price.output_usd_per_mtok: must be at least 0"),
        ('"openai"\nmodel = "other"', '"open"\nmodel = "other"', "15:1: provider 'open' is not defined (did you mean 'openai'?)"),
        ("objective.ttft_ms = 800", "objective.ttft_ms = 0", "20:1: routes.auto.objective.ttft_ms: must be at least 1"),
        ('use.route = "auto"', 'use.route = "atuo"', "30:1: route 'atuo' is not defined (did you mean 'auto'?)"),
        ('["a.b"]]', '["a.c"]]', "19:1: endpoint 'a.c' is not defined (did you mean 'a.b'?)"),
        ('name = "second"', "name = 5", "28:1: rules[1].name: expected text, got a whole number; put it in quotes"),
        ('"${KEY:-sk-x}"', '"${KEY}"', "7:1: environment variable 'KEY' is not set"),
    ],
)
def test_mistakes_are_located(old: str, new: str, at: str) -> None:
    assert old in GOOD
    assert only_line(GOOD.replace(old, new, 1), filename="f.toml").startswith("f.toml:" + at)


def test_all_mistakes_at_once() -> None:
    text = GOOD.replace("port =", "prot =").replace('["mini"]', '["mimi"]').replace("800", "0")
    assert [line.split(":")[1] for line in lines_of(text, filename="f.toml")] == ["4", "19", "20", "25"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("a = \n", "1:5"),
        ("a = 1\nb\n", "2:2"),
        ("a = 1\na = 2\n", "2:6"),
        ("[a]\nx = 'open\n", "2:10"),
        ("a = [1,", "1:"),
        ("a = 1 2", "1:7"),
    ],
)
def test_syntax_errors_have_a_place(text: str, at: str) -> None:
    node, messages = read(text)
    assert node is None
    assert messages[0].startswith(at)
    assert "not valid TOML" in messages[0]


def test_dates_are_no_texts_by_accident_but_are_shown_as_one() -> None:
    node, _ = read("d = 2024-10-21\nt = 12:30:00\n")
    assert node is not None
    assert node.plain() == {"d": "2024-10-21", "t": "12:30:00"}


def test_lines_inside_a_long_text_are_not_taken_for_keys_that_exist() -> None:
    node, _ = read('a = """\nport = 1\n"""\n[listen]\nport = 2\n')
    assert node is not None
    assert node.get("listen", "port").spot.line == 5  # type: ignore[union-attr]


def test_nested_arrays_of_tables_count_their_entries() -> None:
    node, _ = read("[[a]]\nx = 1\n[[a]]\nx = 2\n[[a.b]]\ny = 3\n[a.c]\nz = 4\n")
    assert node is not None
    second = list(node.get("a").elements())[1]  # type: ignore[union-attr]
    assert second.key_spot("x").line == 4
    assert second.get("c").key_spot("z").line == 8  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a" + ".a" * 100_000 + " = 1",
        "[" + "a." * 100_000 + "a]",
        "a = " + "{b = " * 50_000,
        "a = " + "[" * 40 + "]" * 40,
        "a = " + "9" * 9_999,
        '"' * 100_000,
        "".join(f"k{i} = 1\n" for i in range(60_000)),
        "\x00",
    ],
)
def test_hostile_files_are_refused_soon(text: str) -> None:
    node, messages = read(text)
    assert node is None
    assert len(messages) == 1


@given(st.text(alphabet="ab.=[]{}\"'\n #1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    node, messages = read(text)
    assert (node is None) == bool(messages)
