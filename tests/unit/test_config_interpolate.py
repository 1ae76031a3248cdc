import pytest
from config_support import SMALL, lines_of, only_line, parsed
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.interpolate import interpolate
from fastroute.config.nodes import Node
from fastroute.config.problems import Problems


def filled(text: str, env: dict[str, str]) -> tuple[str, list[str]]:
    node, problems = Node(text), Problems("f")
    interpolate(node, env, problems)
    return node.value, [p.message for p in problems.sorted()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-y", "x-one-y"),
        ("${A}${B}", "onetwo"),
        ("${MISSING:-else}", "else"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-else}", "else"),
        ("${EMPTY}", ""),
        ("${A:-else}", "one"),
        ("${MISSING:-http://h:1/p?q=${B}", None),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("cost: $5", "cost: $5"),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${MISSING:-two\nlines}", "two\nlines"),
        ("plain", "plain"),
    ],
)
def test_what_variables_become(text: str, value: str | None) -> None:
    got, messages = filled(text, {"A": "one", "B": "two", "EMPTY": ""})
    if value is None:
        assert messages
    else:
        assert (got, messages) == (value, [])


def test_what_a_variable_contains_is_not_looked_at_again() -> None:
    assert filled("${A}", {"A": "${B} $${C}", "B": "no"}) == ("${B} $${C}", [])


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${A:?message}", "${A-b}", "a${A"])
def test_malformed_variables_are_told_how_to_be_written(text: str) -> None:
    _, messages = filled(text, {"A": "secret-value"})
    assert any("malformed" in message for message in messages)
    assert not any("secret-value" in message for message in messages)


def test_every_missing_variable_is_named() -> None:
    _, messages = filled("${ONE} ${TWO} ${ONE}", {})
    assert len(messages) == 2
    assert "'ONE' is not set" in messages[0]
    assert "'TWO' is not set" in messages[1]


def test_a_missing_variable_is_found_at_its_value() -> None:
    assert only_line(SMALL.replace("sk-test-1234567890", '"${OPENAI_API_KEY}"')).startswith(
        "f.yaml:2:21: environment variable 'OPENAI_API_KEY' is not set"
    )


def test_values_only_never_keys() -> None:
    assert "${NAME}" in lines_of(SMALL.replace("mini:", '"${NAME}":'), {"NAME": "mini"})[0]


def test_a_variable_may_stand_for_a_number_a_boolean_and_a_choice() -> None:
    text = SMALL + 'listen: {port: "${PORT:-4000}", drain_s: "${DRAIN}"}\nkeys: {required: "${KEYS}"}\nversion: "${V:-1}"\n'
    config = parsed(text, {"DRAIN": "2.5", "KEYS": "true"})
    assert (config.listen.port, config.listen.drain_s, config.keys and config.keys.required) == (4000, 2.5, True)


def test_a_text_in_the_file_may_not() -> None:
    assert "expected a whole number, got text" in only_line(SMALL + 'listen: {port: "4000"}\n')


def test_a_variable_that_is_no_number_is_refused_without_showing_it() -> None:
    line = only_line(SMALL + 'listen: {port: "${PORT}"}\n', {"PORT": "hunter2"})
    assert "listen.port: expected a whole number" in line
    assert "hunter2" not in line


def test_a_variable_out_of_range_is_refused() -> None:
    assert "must be at most 65535" in only_line(SMALL + 'listen: {port: "${PORT}"}\n', {"PORT": "70000"})


def test_an_empty_variable_counts_as_not_set_where_that_is_allowed() -> None:
    config = parsed(SMALL.replace("sk-test-1234567890", '"${KEY:-}"') + 'ledger: {url: "${L:-}"}\n')
    assert config.providers["openai"].api_key is None
    assert config.ledger is not None
    assert config.ledger.url is None


def test_an_empty_variable_is_refused_where_something_is_needed() -> None:
    assert "must not be empty" in only_line(SMALL + 'listen: {host: "${H:-}"}\n')


def test_an_empty_text_in_the_file_is_not_the_same() -> None:
    assert "must not be empty" in only_line(SMALL + 'ledger: {url: ""}\n')


def test_comments_are_left_alone() -> None:
    parsed(SMALL + "# ${NOT_SET}\n")


def test_an_alias_is_filled_in_once() -> None:
    text = SMALL.replace("sk-test-1234567890", '&k "${A}"') + "  \n"
    config = parsed(text.replace("endpoints:", "  other: {preset: groq, api_key: *k}\nendpoints:"), {"A": "$${x}"})
    assert config.providers["openai"].api_key == config.providers["other"].api_key == "$${x}"


@given(st.text(max_size=50))
def test_any_text_with_any_environment_ends(text: str) -> None:
    value, messages = filled(text, {"A": "v"})
    if "${" not in text:
        assert (value, messages) == (text, [])


@given(st.text(alphabet="a${}:-A$", max_size=30))
def test_no_variable_survives_without_a_message(text: str) -> None:
    value, messages = filled(text, {"A": "v", "a": "w"})
    assert messages or value.count("${") == text.count("$${")
