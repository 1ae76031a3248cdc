"""What a Claude model accepts, by any provider's spelling of its name."""

import pytest

from fastroute.dialects.anthropic_models import UNKNOWN, traits


@pytest.mark.parametrize(
    "model",
    [
        "claude-opus-4-6",
        "claude-opus-4-6-20260205",
        "anthropic/claude-opus-4.6",
        "us.anthropic.claude-opus-4-6-v1:0",
        "CLAUDE-OPUS-4-6",
    ],
)
def test_every_spelling_is_the_same_model(model: str) -> None:
    assert traits(model) == traits("claude-opus-4-6")
    assert traits(model).adaptive
    assert traits(model).budget


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-20250514", "claude-4-sonnet-20250514", "claude-sonnet-4-0", "claude-sonnet-4@20250514"]
)
def test_a_date_is_no_version(model: str) -> None:
    known = traits(model)
    assert (known.thinking, known.adaptive, known.effort, known.json_schema) == (True, False, False, False)


@pytest.mark.parametrize(
    ("model", "thinking", "adaptive", "effort"),
    [
        ("claude-2.1", False, False, False),
        ("claude-3-opus-20240229", False, False, False),
        ("claude-3-5-haiku-latest", False, False, False),
        ("claude-3-7-sonnet-20250219", True, False, False),
        ("claude-haiku-4-5-20251001", True, False, False),
        ("claude-opus-4-5", True, False, True),
        ("claude-sonnet-4-6", True, True, True),
        ("claude-opus-5", True, True, True),
        ("claude-fable-5-1", True, True, True),
    ],
)
def test_thinking(model: str, thinking: bool, adaptive: bool, effort: bool) -> None:
    known = traits(model)
    assert (known.thinking, known.adaptive, known.effort) == (thinking, adaptive, effort)


@pytest.mark.parametrize(
    ("model", "sampling", "both", "budget"),
    [
        ("claude-3-5-sonnet-20241022", True, True, True),
        ("claude-sonnet-4-0", True, True, True),
        ("claude-opus-4-1-20250805", True, False, True),
        ("claude-sonnet-4-5", True, False, True),
        ("claude-opus-4-7", False, False, False),
        ("claude-sonnet-5", False, False, False),
    ],
)
def test_sampling_and_budgets(model: str, sampling: bool, both: bool, budget: bool) -> None:
    known = traits(model)
    assert (known.sampling, known.temperature_with_top_p, known.budget) == (sampling, both, budget)


def test_schemas_and_forced_tools() -> None:
    assert not traits("claude-opus-4-0").json_schema
    assert traits("claude-opus-4-1").json_schema
    assert traits("claude-haiku-4-5").json_schema
    assert traits("claude-fable-5").forced_tools
    assert not traits("claude-fable-5-1").forced_tools


@pytest.mark.parametrize("model", ["smart", "MiniMax-M2", "claude-mythos-preview", "", "gpt-5"])
def test_an_unknown_model_is_taken_for_the_plain_contract(model: str) -> None:
    assert traits(model) is UNKNOWN


def test_a_generation_to_come_is_like_the_newest() -> None:
    assert traits("claude-opus-9-2") == traits("claude-opus-5")
