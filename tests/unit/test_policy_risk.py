"""P(miss) from tail, size, length and time left."""

import pytest
from policy_cases import KNOWN, situation, view

from fastroute.policy.risk import NEVER, expected_total_s, limits_s, lost, p_miss


def miss(v, **kwargs) -> float:
    s = situation(v, **kwargs)
    return p_miss(v, s, limits_s(s))


def test_without_any_limit_nothing_is_missed():
    assert miss(view(), ttft_s=None, left_s=NEVER) == 0.0


def test_a_ttft_objective_is_one_reading_of_the_tail():
    assert miss(view(ttft_s=0.5), ttft_s=1.0) == pytest.approx(KNOWN.p_over(2.0))


def test_time_already_gone_counts():
    assert miss(view(ttft_s=0.5), ttft_s=2.0, elapsed_s=1.5) == pytest.approx(KNOWN.p_over(1.0))
    assert miss(view(), ttft_s=2.0, elapsed_s=2.0) == 1.0
    assert miss(view(), left_s=0.0) == 1.0


def test_the_prompts_size_counts():
    v = view(ttft_s=0.2, ttft_per_token_s=0.001)
    assert miss(v, input_tokens=100) < miss(v, input_tokens=3000)


def test_a_fast_start_and_a_slow_pace_miss_the_total():
    """Pitfall 22: 10 s in all, 40 ms a token, 1,000 tokens allowed; 50 allowed is fine."""
    v = view(ttft_s=0.5, tpot_s=0.04, output_tokens=400.0)
    assert miss(v, ttft_s=2.0, total_s=10.0, max_output_tokens=1000) > 0.3
    assert miss(v, ttft_s=2.0, total_s=10.0, max_output_tokens=50) < 0.01


def test_a_total_objective_feels_the_tail_of_ttft_too():
    v = view(ttft_s=0.5, output_points=((100.0, 1.0),))
    assert miss(v, ttft_s=None, total_s=1.0 + 115 * 0.01) == pytest.approx(KNOWN.p_over(2.0))


def test_two_limits_on_one_ttft_are_not_added_up():
    v = view(ttft_s=0.5, output_points=((100.0, 1.0),))
    both = miss(v, ttft_s=1.0, total_s=1.0 + 115 * 0.01)
    assert both == pytest.approx(KNOWN.p_over(2.0))


def test_each_answer_length_has_its_own_limit():
    v = view(ttft_s=0.5, output_points=((100.0, 0.7), (1000.0, 0.3)))
    assert miss(v, ttft_s=None, total_s=8.0) == pytest.approx(0.3, abs=0.01)


def test_the_deadline_is_a_limit_even_without_an_objective():
    v = view(output_points=((2000.0, 1.0),))
    assert miss(v, ttft_s=None, left_s=10.0) == 1.0


def test_a_deadline_for_first_content_only_leaves_the_reply_alone():
    v = view(ttft_s=0.5, output_points=((2000.0, 1.0),))
    assert miss(v, ttft_s=None, left_s=10.0, deadline_covers_reply=False) < 0.01
    assert limits_s(situation(v, ttft_s=None, left_s=10.0, deadline_covers_reply=False)) == (10.0, NEVER)


def test_an_objective_is_lost_when_its_time_is_up():
    assert not lost(situation(ttft_s=2.0, total_s=8.0, elapsed_s=1.9))
    assert lost(situation(ttft_s=2.0, total_s=8.0, elapsed_s=2.0))
    assert lost(situation(ttft_s=None, total_s=8.0, elapsed_s=8.0))
    assert not lost(situation(ttft_s=None, total_s=None, elapsed_s=1e9))


def test_expected_total_is_median_ttft_and_answer():
    v = view(ttft_s=0.5, tpot_s=0.02)
    expected = KNOWN.quantile(0.5) * 0.5 + 100 * 0.02
    assert expected_total_s(v, situation(v)) == pytest.approx(expected)
    assert expected_total_s(v, situation(v, max_output_tokens=10)) < expected


def test_a_prediction_of_nothing_is_no_division_by_it():
    assert miss(view(ttft_s=0.0), ttft_s=1.0) == pytest.approx(KNOWN.p_over(1e9))


def test_a_suspect_is_risky_whatever_its_table_says():
    """The table leans on the long run; three of its last eight were bad."""
    assert miss(view(ttft_s=0.1), ttft_s=5.0) < 0.05
    assert miss(view(ttft_s=0.1, suspect=True), ttft_s=5.0) == pytest.approx(0.3)
    assert miss(view(ttft_s=9.0, suspect=True), ttft_s=5.0) == pytest.approx(miss(view(ttft_s=9.0), ttft_s=5.0))
