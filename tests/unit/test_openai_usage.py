"""Usage of OpenAI-style providers: one table, sums that are true, nothing guessed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.types import Usage
from fastroute.dialects.openai_usage import (
    ProperUsage,
    latest,
    mended_usage,
    openai_usage,
    partial_usage,
    read_usage,
    so_far,
    usage_as_it_is,
)

Json = dict[str, Any]


def usage(prompt: int = 100, completion: int = 20, total: int | None = None, **members: Any) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
    } | members


def reasoned(count: int) -> Json:
    return {"completion_tokens_details": {"reasoning_tokens": count}}


def test_openais_own() -> None:
    raw = usage(prompt_tokens_details={"cached_tokens": 64, "cache_write_tokens": 8}, **reasoned(12))
    assert read_usage(raw) == Usage(100, 20, 64, 8, 12)
    assert mended_usage(raw) is None


def test_what_is_not_reported_is_unknown() -> None:
    assert read_usage({}) == Usage()
    assert read_usage({"prompt_tokens": None, "completion_tokens": "12", "total_tokens": True}) == Usage()
    assert read_usage(usage(prompt_tokens_details=None)) == Usage(100, 20)


@pytest.mark.parametrize(
    ("members", "cached"),
    [
        ({"prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 70}, 30),  # DeepSeek
        ({"num_cached_tokens": 30}, 30),  # Mistral
        ({"cached_tokens": 30}, 30),  # Moonshot, Together
        ({"cache_read_input_tokens": 30}, 30),  # Databricks
        ({"prompt_tokens_details": {"cached_tokens": 30}, "prompt_cache_hit_tokens": 31}, 30),
    ],
)
def test_cached_tokens_under_every_name(members: Json, cached: int) -> None:
    raw = usage(**members)
    assert read_usage(raw).cached_input_tokens == cached
    told = mended_usage(raw) or raw
    assert told["prompt_tokens_details"]["cached_tokens"] == cached
    assert told["prompt_tokens"] == 100, "the cached are part of the prompt already"


def test_reasoning_outside_the_completion_is_added_where_the_total_says_so() -> None:
    raw = usage(100, 20, 170, **reasoned(50))  # xAI; also seen through a proxy that no profile knows
    for in_output in (True, False):
        assert read_usage(raw, in_output).output_tokens == 70
        mended = mended_usage(raw, in_output)
        assert mended is not None
        assert (mended["completion_tokens"], mended["total_tokens"]) == (70, 170)
        assert mended["completion_tokens_details"] == {"reasoning_tokens": 50}


def test_reasoning_inside_is_not_added_again() -> None:
    raw = usage(100, 70, **reasoned(50))
    assert read_usage(raw).output_tokens == 70
    assert read_usage(raw, reasoning_in_output=False).output_tokens == 70, "the total outranks the profile"
    assert mended_usage(raw, reasoning_in_output=False) is None


def test_the_profile_decides_where_the_numbers_do_not() -> None:
    raw = {"prompt_tokens": 100, "completion_tokens": 60, **reasoned(50)}
    assert read_usage(raw).output_tokens == 60
    assert read_usage(raw, reasoning_in_output=False).output_tokens == 110


def test_more_reasoning_than_completion_cannot_be_inside() -> None:
    raw = usage(28, 9, 37, **reasoned(69))  # a gateway's Gemini: it was charged for 78
    assert read_usage(raw).output_tokens == 78
    mended = mended_usage(raw)
    assert mended is not None
    assert mended["total_tokens"] == 28 + 78


def test_more_cached_than_prompt_cannot_be_inside() -> None:
    raw = usage(78, 9, prompt_tokens_details={"cached_tokens": 158})
    assert read_usage(raw) == Usage(236, 9, 158)
    mended = mended_usage(raw)
    assert mended is not None
    assert (mended["prompt_tokens"], mended["total_tokens"]) == (236, 245)


def test_a_mend_keeps_every_other_member() -> None:
    raw = usage(100, 20, 170, cost_in_usd_ticks=5, num_sources_used=0, **reasoned(50))
    mended = mended_usage(raw)
    assert mended is not None
    assert mended | usage(100, 20, 170) == raw
    assert raw["completion_tokens"] == 20, "the original is not touched"


def test_the_latest_report_counts_number_by_number() -> None:
    assert latest(None, Usage(5)) == Usage(5)
    assert latest(Usage(5, 1, 2), Usage(5, 9)) == Usage(5, 9, 2)
    assert latest(Usage(5, 1), Usage(None, None)) == Usage(5, 1)


def test_usage_as_openai_writes_it() -> None:
    assert openai_usage(Usage(10, 5)) == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    full = openai_usage(Usage(10, 5, 4, 3, 2))
    assert full["prompt_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 3}
    assert full["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert read_usage(full) == Usage(10, 5, 4, 3, 2), "and reads it back"


def test_a_cut_reply_has_at_least_the_output_that_came() -> None:
    assert so_far(None, 0) is None
    assert so_far(None, 7) == Usage(output_tokens=7, estimated=True)
    assert so_far(Usage(10, 2), 7) == Usage(10, 7, estimated=True)
    assert so_far(Usage(10, 9), 7) == Usage(10, 9, estimated=True)


def test_a_prompt_nobody_counted_is_left_out_of_a_partial_report() -> None:
    assert partial_usage(Usage(output_tokens=7, estimated=True)) == {"completion_tokens": 7, "estimated": True}
    assert partial_usage(Usage(10, 7, estimated=True))["total_tokens"] == 17


# --- the short way ------------------------------------------------------------------------------------------------------

counts = st.none() | st.integers(0, 6)


@given(
    st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens"]), counts),
    st.none() | st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens"]), counts),
    st.none() | st.dictionaries(st.just("reasoning_tokens"), counts),
    st.dictionaries(
        st.sampled_from(["prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens"]), counts
    ),
    st.booleans(),
)
def test_the_short_way_says_the_same_or_nothing(
    plain: Json, into: Json | None, out: Json | None, more: Json, in_output: bool
) -> None:
    raw = {**plain, "prompt_tokens_details": into, "completion_tokens_details": out, **more}
    found = usage_as_it_is(msgspec.convert(raw, ProperUsage), in_output)
    if mended_usage(raw, in_output) is None:
        assert found == read_usage(raw, in_output)
    else:
        assert found is None


def test_cached_tokens_beside_details_that_are_none() -> None:
    """Details of the wrong type must not stop the reply."""
    mended = mended_usage(usage(cached_tokens=30, prompt_tokens_details=[1]))
    assert mended is not None
    assert mended["prompt_tokens_details"] == {"cached_tokens": 30}
