import pytest

from fastroute.config.problems import MAX_PROBLEMS, START, ConfigError, Problem, Problems, Spot, closest, listed, shown


def test_a_problem_reads_like_a_compilers_message() -> None:
    assert (
        str(Problem("f.yaml", 12, 5, "unknown key 'modle'", "model"))
        == "f.yaml:12:5: unknown key 'modle' (did you mean 'model'?)"
    )
    assert str(Problem("f.yaml", 1, 2, "too long")) == "f.yaml:1:2: too long"


def test_problems_come_out_in_the_order_of_the_file() -> None:
    problems = Problems("f")
    problems.add(Spot(10, 1), "c")
    problems.add(Spot(9, 20), "b")
    problems.add(Spot(9, 3), "a")
    assert [p.message for p in problems.sorted()] == ["a", "b", "c"]


def test_one_place_and_one_message_are_one_problem() -> None:
    problems = Problems("f")
    problems.add(START, "same")
    problems.add(START, "same")
    problems.add(START, "other")
    assert len(problems.sorted()) == 2


def test_nothing_found_raises_nothing() -> None:
    problems = Problems("f")
    assert not problems
    problems.raise_if_any()


def test_raising_carries_every_problem_and_prints_one_a_line() -> None:
    problems = Problems("f")
    problems.add(Spot(2, 1), "b")
    problems.add(Spot(1, 1), "a")
    with pytest.raises(ConfigError) as raised:
        problems.raise_if_any()
    assert [p.line for p in raised.value.problems] == [1, 2]
    assert str(raised.value) == "f:1:1: a\nf:2:1: b"


def test_a_flood_is_cut_and_says_so() -> None:
    problems = Problems("f")
    for line in range(1, MAX_PROBLEMS + 51):
        problems.add(Spot(line, 1), "x")
    lines = problems.sorted()
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1].message.startswith("50 more problems")
    assert lines[-1].line == MAX_PROBLEMS + 1


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("modle", "model"),
        ("Model", "model"),
        ("provdier", "provider"),
        ("max_atempts", "max_attempts"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_closest_known_word(word: str, meant: str | None) -> None:
    assert closest(word, ["model", "provider", "max_attempts"]) == meant


def test_a_huge_word_is_compared_by_its_beginning_only() -> None:
    assert closest("x" * 1_000_000, ["model"]) is None


def test_words_are_shown_on_one_line_and_cut() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 500)) < 70


def test_lists_are_cut_too() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(30)], most=2) == "0, 1, ... (30 in all)"
