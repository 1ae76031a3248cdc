"""Laws of `stats`: tables are survival tables, samples count once, failures say nothing about latency, flights never leak."""

import itertools
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastroute.core.failures import Blame
from fastroute.core.types import Endpoint, EndpointView, Profile, TailTable
from fastroute.stats import window as window_module
from fastroute.stats.board import Flight, Scoreboard
from fastroute.stats.latency import FirstContent
from fastroute.stats.lengths import Lengths, Pool
from fastroute.stats.outcomes import SLOT_S, SLOTS, OutcomeRing
from fastroute.stats.window import BOUNDS, LONG_WEIGHT, PRIOR_WEIGHT, Horizon, Window, survival

STEP = 1.06  # one bucket
MONTH_S = 30 * 86_400.0
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999)
A = Endpoint("a", "fake", Profile("fake", "fake", "/chat"), "http://a", "m")
B = msgspec.structs.replace(A, name="b", base_url="http://b")

inside = st.floats(min_value=0.06, max_value=100.0)
anything = st.floats(allow_nan=True, allow_infinity=True)
odd = st.one_of(st.sampled_from([0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 1e300]), anything)
weights = st.floats(min_value=0.0, max_value=1e9)
ratios = st.lists(inside, min_size=1, max_size=60)
seeds = st.integers(min_value=0, max_value=2**32)
blames = st.sampled_from([Blame.ERROR, Blame.RATE, Blame.KEY, Blame.NONE])


def check_survival(values: Sequence[float]) -> None:
    assert len(values) == len(BOUNDS)
    assert all(math.isfinite(p) and 0.0 <= p <= 1.0 + 1e-12 for p in values)
    assert all(a >= b for a, b in itertools.pairwise(values))


def exact(ordered: Sequence[float], q: float) -> float:
    """The smallest of `ordered` that a share `q` of them does not exceed."""
    return ordered[min(max(math.ceil(q * len(ordered)) - 1, 0), len(ordered) - 1)]


def prior_share(n: int) -> float:
    """How much of a table of `n` fresh samples is still the prior."""
    return LONG_WEIGHT / (n + LONG_WEIGHT) * PRIOR_WEIGHT / (n + PRIOR_WEIGHT)


def board(*endpoints: Endpoint) -> Scoreboard:
    made = Scoreboard()
    for e in endpoints or (A,):
        made.add(e)
    return made


def answer(b: Scoreboard, at_s: float, ttft_s: float, tokens: int = 50, input_tokens: int = 500) -> None:
    flight = b.begin(A, at_s, input_tokens, None)
    b.first_content(flight, at_s + ttft_s)
    b.finish(flight, at_s + ttft_s + 0.01 * tokens, ok=True, stream=True, output_tokens=tokens)


def latency_only(view: EndpointView) -> EndpointView:
    return msgspec.structs.replace(view, p_fail=0.0)


def log_normal(rng: random.Random, median: float = 1.0, sigma: float = 0.35) -> float:
    return median * math.exp(rng.gauss(0.0, sigma))


# --- windows ---------------------------------------------------------------------------------------------------------


@given(st.lists(inside, min_size=1, max_size=40), st.integers(min_value=1, max_value=60), st.floats(0.0, 1e7))
def test_quantiles_of_fresh_samples_are_exact_within_a_bucket_and_the_priors_share(some, times, now_s):
    """The table is (1 - w) x empirical + w x prior, so its quantile lies between two exact ones."""
    w, values = Window(), sorted(some * times)
    for ratio in values:
        w.record(ratio, now_s)
    table, share = w.table(now_s), prior_share(len(values))
    for q in QUANTILES:
        found, low, high = table.quantile(q), (q - share) / (1.0 - share) - 1e-9, q / (1.0 - share) + 1e-9
        if low > 0.0:
            assert found >= exact(values, low) * (1.0 - 1e-9)
        if high < 1.0:
            assert found <= exact(values, high) * STEP * (1.0 + 1e-9)


@settings(max_examples=10)
@given(seeds, st.floats(min_value=0.1, max_value=0.9))
def test_many_fresh_samples_give_exact_quantiles(seed, sigma):
    rng, w = random.Random(seed), Window()
    values = sorted(log_normal(rng, sigma=sigma) for _ in range(3000))
    for ratio in values:
        w.record(ratio, 5.0)
    for q in (0.1, 0.5, 0.9, 0.99):
        found = w.table(5.0).quantile(q)
        assert exact(values, q - 0.002) * 0.999 <= found <= exact(values, q + 0.002) * STEP * 1.001


@given(st.lists(odd, max_size=30), st.lists(odd, max_size=30))
def test_no_value_raises_or_breaks_the_table(complete, censored):
    w = Window()
    for i, ratio in enumerate(complete):
        w.record(ratio, float(i))
    for i, ratio in enumerate(censored):
        w.record_censored(ratio, float(i))
    for i, ratio in enumerate(censored[::2]):
        w.retract_censored(ratio, float(i))
    check_survival(w.table(50.0).survival)
    assert w.samples == sum(not math.isnan(r) for r in complete)
    assert math.isfinite(w.effective_n(50.0))


@given(odd)
def test_every_number_has_a_bucket(ratio):
    i = window_module.bucket(ratio)
    assert 0 <= i < len(BOUNDS)
    if BOUNDS[0] < ratio <= BOUNDS[-1]:
        assert BOUNDS[i - 1] < ratio <= BOUNDS[i]


@given(st.data())
def test_kaplan_meier_is_monotone_for_any_weights(data):
    n = len(BOUNDS)
    pairs = data.draw(st.dictionaries(st.integers(0, n - 1), st.tuples(weights, weights), max_size=12))
    events, censored = [0.0] * n, [0.0] * n
    for i, (event, hidden) in pairs.items():
        events[i], censored[i] = event, hidden
    check_survival(survival(events, censored))


@given(ratios, st.lists(inside, max_size=40))
def test_censoring_never_lowers_the_kaplan_meier_estimate(complete, hidden):
    events, censored = [0.0] * len(BOUNDS), [0.0] * len(BOUNDS)
    for ratio in complete:
        events[window_module.bucket(ratio)] += 1.0
    plain = survival(events, censored)
    for ratio in hidden:
        censored[window_module.bucket(ratio)] += 1.0
    assert all(b >= a - 1e-9 for a, b in zip(plain, survival(events, censored), strict=True))


OPERATIONS = st.tuples(
    st.sampled_from(["record", "record", "censored", "retract", "table", "mark", "restore", "clear"]),
    odd,
    st.floats(min_value=-100.0, max_value=1e6),
)


@given(st.lists(OPERATIONS, max_size=40))
def test_tables_stay_tables_whatever_happens(operations):
    w, now_s, hidden = Window(), 0.0, []
    for name, ratio, step_s in operations:
        now_s += step_s
        if name == "record":
            w.record(ratio, now_s)
        elif name == "censored":
            w.record_censored(ratio, now_s)
            hidden.append((ratio, now_s))
        elif name == "retract" and hidden:
            w.retract_censored(*hidden.pop())
        elif name in ("mark", "restore", "clear"):
            getattr(w, name)()
        check_survival(w.table(now_s).survival)
        assert w.effective_n(now_s) >= 0.0
        assert min(w.long.events) >= 0.0 <= min(w.short.censored)


@given(ratios, st.floats(min_value=0.0, max_value=20.0), st.floats(min_value=0.0, max_value=100.0))
def test_rescaling_keeps_every_quantile(some, spread_s, later_s):
    """Pitfall 35: moving the landmark is not an observation."""
    horizon = Horizon(30.0)
    for i, ratio in enumerate(some):
        weight = horizon.weight(i * spread_s / len(some))
        (horizon.add if i % 3 else horizon.add_bound)(window_module.bucket(ratio), weight)
    now_s = spread_s + later_s
    before, n = horizon.survival(), horizon.effective_n(now_s)
    horizon.rescale(now_s)
    assert horizon.survival() == pytest.approx(before, abs=1e-9)
    assert horizon.effective_n(now_s) == pytest.approx(n)


@given(st.lists(inside, min_size=30, max_size=60))
def test_a_month_later_the_same_samples_give_the_same_quantiles(some):
    """Pitfall 35: `late` has run for 30 days before, with traffic once an hour, `fresh` has not."""
    fresh, late = Window(), Window()
    for hour in range(720 - 24):
        late.record(50.0, hour * 3600.0)
    for i, ratio in enumerate(some):
        fresh.record(ratio, i * 0.5)
        late.record(ratio, MONTH_S + i * 0.5)
    end_s = len(some) * 0.5
    young, old = fresh.table(end_s), late.table(MONTH_S + end_s)
    check_survival(old.survival)
    assert old.survival == pytest.approx(young.survival, abs=1e-6)
    assert late.effective_n(MONTH_S + end_s) == pytest.approx(fresh.effective_n(end_s), rel=1e-6)


@settings(max_examples=5)
@given(st.lists(inside, min_size=1, max_size=4))
def test_a_month_of_steady_traffic_keeps_quantiles_finite_and_equal(some):
    """Pitfall 35: the same traffic all the time, looked at every day."""
    w, tables = Window(), {}
    cycle = [some[i % len(some)] for i in range(12)]
    for day in range(31):
        for i in range(288):
            w.record(cycle[i % len(cycle)], day * 86_400.0 + i * 300.0)
        tables[day] = w.table((day + 1) * 86_400.0), w.effective_n((day + 1) * 86_400.0)
    (early, early_n), (late, late_n) = tables[3], tables[30]
    check_survival(late.survival)
    assert late.survival == pytest.approx(early.survival, abs=1e-6)
    assert late_n == pytest.approx(early_n, rel=1e-6)


@given(ratios, st.lists(inside, min_size=1, max_size=10))
def test_retracted_bounds_leave_no_trace(complete, hidden):
    plain, w = Window(), Window()
    for i, ratio in enumerate(complete):
        plain.record(ratio, float(i))
        w.record(ratio, float(i))
    end_s = float(len(complete))
    for ratio in hidden:
        w.record_censored(ratio, end_s)
    for ratio in hidden:
        w.retract_censored(ratio, end_s)
    assert w.table(end_s).survival == pytest.approx(plain.table(end_s).survival, abs=1e-9)


# --- first content ---------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(odd, st.integers(0, 2_000_000), st.booleans()), max_size=60))
def test_predictions_stay_finite_and_positive(samples):
    first = FirstContent(None)
    for i, (value_s, tokens, whole) in enumerate(samples):
        if whole:
            first.observe(value_s, tokens, float(i))
        else:
            first.exceeds(value_s, tokens, float(i))
        assert 0.0 < first.predicted_s(tokens, float(i)) < math.inf
        base_s, per_token_s = first.predicted(float(i))
        assert base_s > 0.0
        assert per_token_s >= 0.0
        check_survival(first.table(float(i)).survival)


@settings(max_examples=15)
@given(seeds, st.floats(min_value=0.1, max_value=2.0), st.floats(min_value=2e-5, max_value=3e-4))
def test_a_shift_to_long_prompts_is_no_slowdown(seed, base_s, per_token_s):
    """Pitfall 36: once sizes have varied, an unchanged server that gets ten times longer prompts stays as good as it was."""
    rng, first, now_s = random.Random(seed), FirstContent(None), 0.0

    def serve(count: int, median_tokens: float) -> list[float]:
        nonlocal now_s
        off = []
        for _ in range(count):
            now_s += 0.5
            tokens = int(log_normal(rng, median_tokens, 0.8))
            value_s = (base_s + per_token_s * tokens) * log_normal(rng, sigma=0.15)
            off.append(value_s / first.predicted_s(tokens, now_s))
            first.observe(value_s, tokens, now_s)
        return sorted(off)

    serve(500, 500.0)
    shifted = serve(300, 5000.0)
    assert 0.6 <= exact(shifted, 0.5) <= 1.5
    assert first.table(now_s).p_over(2.0) <= 0.1
    assert 0.75 <= exact(serve(100, 5000.0), 0.5) <= 1.25


@settings(max_examples=8)
@given(seeds)
def test_hedge_losers_do_not_make_the_tail_look_short(seed):
    """Pitfall 3: a hedge goes out after 1 s and mostly wins, so slow answers are seen only as `longer than that`."""
    rng, first, values = random.Random(seed), FirstContent(None), []
    for i in range(3000):
        value_s = log_normal(rng, 0.5) * (10.0 if rng.random() < 0.03 else 1.0)
        other_s = 1.0 + log_normal(rng, 0.5)
        values.append(value_s)
        if value_s <= other_s:
            first.observe(value_s, 500, float(i))
        else:
            first.exceeds(other_s, 500, float(i))
    table, scale_s = first.table(3000.0), first.predicted_s(500, 3000.0)
    recent = sorted(values[-600:])
    assert table.quantile(0.5) * scale_s == pytest.approx(0.5, rel=0.25)
    assert table.quantile(0.99) * scale_s >= 0.85 * exact(recent, 0.97)
    assert table.p_over(2.0 / scale_s) >= 0.08 * sum(v > 2.0 for v in recent) / len(recent)


# --- outcomes and lengths --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("ofr"), st.floats(min_value=0.0, max_value=30.0)), max_size=80))
def test_outcomes_are_exact_counts_of_the_last_minute(events):
    ring, now_s, log = OutcomeRing(), 1000.0, []
    for kind, step_s in events:
        now_s += step_s
        {"o": ring.ok, "f": ring.failure, "r": ring.rate_limited}[kind](now_s)
        log.append((kind, int(now_s / SLOT_S)))
    p = ring.p_fail(now_s)
    kept = [kind for kind, slot in log if slot > int(now_s / SLOT_S) - SLOTS]
    failed, ended = kept.count("f"), kept.count("f") + kept.count("o")
    assert (ring.failed, ring.ended, ring.limited) == (failed, ended, kept.count("r"))
    assert p == pytest.approx(max(0.001, (failed + 10.0 * ring.usual()) / (ended + 10.0)))
    assert 0.001 <= ring.usual() <= 0.05


@given(st.lists(st.sampled_from("of"), max_size=40), st.integers(min_value=1, max_value=500))
def test_rate_limits_leave_p_fail_alone(kinds, limits):
    plain, limited = OutcomeRing(), OutcomeRing()
    for ring in (plain, limited):
        for kind in kinds:
            (ring.ok if kind == "o" else ring.failure)(10.0)
    for _ in range(limits):
        limited.rate_limited(10.0)
    assert limited.p_fail(10.0) == plain.p_fail(10.0)


@given(st.lists(st.integers(min_value=-5, max_value=10**7), max_size=50))
def test_answer_lengths_are_a_distribution(lengths):
    own = Lengths(Pool())
    for n in lengths:
        own.observe(n)
    points = own.points()
    assert sum(weight for _, weight in points) == pytest.approx(1.0)
    assert all(0.0 < tokens < math.inf for tokens, _ in points)
    assert all(a <= b * (1.0 + 1e-9) for (a, _), (b, _) in pairwise(points))


# --- the scoreboard --------------------------------------------------------------------------------------------------


class Flights(RuleBasedStateMachine):
    """Attempts begin, are answered, end twice, are abandoned, and time passes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.board = board(A, B)
        self.now_s = 0.0
        self.flights: list[Flight] = []
        self.open: dict[int, Endpoint] = {}
        self.late: list[int] = []

    @rule(to=st.sampled_from([A, B]), patience_s=st.none() | st.floats(0.0, 5.0), stream=st.booleans())
    def begin(self, to: Endpoint, patience_s: float | None, stream: bool) -> None:
        flight = self.board.begin(to, self.now_s, 500, patience_s, stream)
        self.flights.append(flight)
        self.open[id(flight)] = to

    @rule(step_s=st.floats(0.0, 10.0))
    def wait(self, step_s: float) -> None:
        self.now_s += step_s

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def first_content(self, data: st.DataObject) -> None:
        self.board.first_content(data.draw(st.sampled_from(self.flights)), self.now_s)

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), ok=st.booleans(), blame=st.sampled_from(list(Blame)), tokens=st.none() | st.integers(0, 5000))
    def finish(self, data: st.DataObject, ok: bool, blame: Blame, tokens: int | None) -> None:
        flight = data.draw(st.sampled_from(self.flights))
        self.board.finish(flight, self.now_s, ok=ok, stream=flight.stream, output_tokens=tokens, blame=blame)
        self.open.pop(id(flight), None)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        flight = data.draw(st.sampled_from(self.flights))
        self.board.abandon(flight, self.now_s)
        self.open.pop(id(flight), None)

    @rule()
    def tick(self) -> None:
        due = {
            id(f)
            for f in self.flights
            if not f.ended and f.first_content_s is None and f.patience_s is not None and f.started_s + f.patience_s <= self.now_s
        }
        late = [id(f) for f in self.board.tick(self.now_s)]
        assert set(late) == due - set(self.late)
        self.late += late
        assert len(self.late) == len(set(self.late))

    @invariant()
    def in_flight_is_what_is_open(self) -> None:
        for endpoint in (A, B):
            view = self.board.view(endpoint, self.now_s)
            assert view.in_flight == sum(e is endpoint for e in self.open.values())
            assert 0.0 < view.p_fail < 1.0
            assert 0.0 < view.predicted_ttft_s(500) < math.inf
            check_survival(view.ttft_tail.survival)

    def teardown(self) -> None:
        for flight in self.flights:
            self.board.abandon(flight, self.now_s)
        assert [self.board.view(e, self.now_s).in_flight for e in (A, B)] == [0, 0]


Flights.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestFlights = Flights.TestCase


@given(st.lists(st.sampled_from(["ok", "failed", "abandon"]), min_size=2, max_size=6))
def test_only_the_first_end_counts(ends):
    b, once = board(), board()

    def end(on: Scoreboard, flight: Flight, how: str, now_s: float) -> None:
        if how == "abandon":
            on.abandon(flight, now_s)
        else:
            on.finish(flight, now_s, ok=how == "ok", stream=True, output_tokens=50, blame=Blame.ERROR)

    flight = b.begin(A, 0.0, 500, 9.0)
    for i, how in enumerate(ends):
        end(b, flight, how, 1.0 + i)
    end(once, once.begin(A, 0.0, 500, 9.0), ends[0], 1.0)
    for on in (b, once):
        on.tick(20.0)
    assert b.view(A, 20.0) == once.view(A, 20.0)
    assert b.export(A) == once.export(A)


@given(st.integers(0, 60), st.floats(min_value=0.1, max_value=3.0), st.floats(min_value=0.0, max_value=20.0))
def test_an_overdue_answer_is_one_sample_of_its_real_value(warmth, patience_s, more_s):
    """Pitfall 7: the bound that stood for it while it waited is gone afterwards."""
    watched, plain = board(), board()
    for b in (watched, plain):
        for i in range(warmth):
            answer(b, float(i), 0.5)
        b.tick(float(warmth))
    start_s, ttft_s = float(warmth), patience_s + more_s + 0.01
    flight, other = watched.begin(A, start_s, 500, patience_s), plain.begin(A, start_s, 500, None)
    assert watched.tick(start_s + patience_s * 0.9) == plain.tick(start_s + patience_s * 0.9) == []
    assert watched.tick(start_s + patience_s) == [flight]
    assert flight.overdue
    assert watched.tick(start_s + ttft_s) == plain.tick(start_s + patience_s) == plain.tick(start_s + ttft_s) == []
    end_s = start_s + ttft_s
    for b, f in ((watched, flight), (plain, other)):
        b.first_content(f, end_s)
        b.finish(f, end_s + 0.5, ok=True, stream=True, output_tokens=50)
        b.tick(end_s + 1.0)
    seen, expected = watched.view(A, end_s + 1.0), plain.view(A, end_s + 1.0)
    assert (seen.samples, seen.in_flight) == (warmth + 1, 0)
    assert seen.predicted_ttft_s(500) == pytest.approx(expected.predicted_ttft_s(500))
    assert seen.ttft_tail.survival == pytest.approx(expected.ttft_tail.survival, abs=0.02)


@given(st.lists(st.tuples(blames, st.integers(0, 40), st.floats(0.0, 0.05)), max_size=40), st.integers(1, 40))
def test_fast_errors_change_no_latency_statistic(errors, answers):
    """Pitfall 8."""
    plain, failing = board(), board()
    for i in range(answers):
        for blame, at, took_s in errors:
            if at == i:
                flight = failing.begin(A, float(i), 500, 2.0)
                failing.finish(flight, i + took_s, ok=False, stream=True, output_tokens=None, blame=blame)
        for b in (plain, failing):
            answer(b, float(i), 0.5)
            b.tick(i + 1.0)
    end_s = float(answers)
    assert latency_only(failing.view(A, end_s)) == latency_only(plain.view(A, end_s))
    assert failing.export(A) == plain.export(A)


@given(st.integers(1, 50), st.integers(1, 200))
def test_429s_do_not_count_as_failures(answers, limits):
    plain, limited = board(), board()
    for b in (plain, limited):
        for i in range(answers):
            answer(b, i * 0.1, 0.5)
    for _ in range(limits):
        flight = limited.begin(A, 6.0, 500, None)
        limited.finish(flight, 6.01, ok=False, stream=True, output_tokens=None, blame=Blame.RATE)
    assert limited.view(A, 7.0) == plain.view(A, 7.0)
    assert limited.describe(A, 7.0)["rate_limited"] == limits


@given(st.lists(st.floats(min_value=0.0, max_value=0.4), min_size=1, max_size=60))
def test_abandoned_flights_are_neutral(waits):
    """An endpoint that is known: who left sooner than its answers come says nothing good or bad about it."""
    plain, left = board(), board()
    for i in range(80):
        for b in (plain, left):
            answer(b, float(i), 0.45 + 0.1 * (i % 5) / 5)
        if i >= 80 - len(waits):
            left.abandon(left.begin(A, float(i), 500, 2.0), i + waits[i - 80])
    for b in (plain, left):
        b.tick(80.0)
    seen, expected = left.view(A, 80.0), plain.view(A, 80.0)
    assert (seen.p_fail, seen.samples, seen.in_flight) == (expected.p_fail, expected.samples, 0)
    assert seen.predicted_ttft_s(500) == pytest.approx(expected.predicted_ttft_s(500), rel=1e-6)
    assert seen.ttft_quantile_s(0.1, 500) >= 0.94 * expected.ttft_quantile_s(0.1, 500)
    assert abs(seen.ttft_tail.p_over(2.0) - expected.ttft_tail.p_over(2.0)) < 0.02


@given(st.floats(min_value=0.01, max_value=60.0) | st.none(), st.floats(min_value=0.0, max_value=MONTH_S))
def test_a_cold_endpoint_is_not_instant(prior_s, now_s):
    """Pitfall 11: untried is uncertain, at any time, whatever the operator expects."""
    cold = msgspec.structs.replace(A, prior_ttft_s=prior_s)
    b = board(cold)
    b.tick(now_s)
    view, expected_s = b.view(cold, now_s), 0.6 if prior_s is None else prior_s
    assert (view.samples, view.age_s, view.effective_n, view.rate_per_s) == (0, None, 0.0, 0.0)
    assert view.predicted_ttft_s(500) == pytest.approx(expected_s)
    assert view.ttft_quantile_s(0.5, 500) == pytest.approx(expected_s, rel=0.1)
    assert view.ttft_quantile_s(0.99, 500) >= 2.0 * expected_s
    assert view.tpot_s > 0.0
    assert view.output_tokens > 1.0


def test_a_view_never_asks_a_table_for_a_quantile(monkeypatch):
    b = board()
    for i in range(50):
        answer(b, float(i), 0.5)
    b.tick(50.0)

    def refuse(*_: object) -> float:
        raise AssertionError("a percentile on the request path")

    for owner, name in ((TailTable, "quantile"), (Window, "table"), (Window, "_blend"), (Horizon, "survival")):
        monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setattr(window_module, "survival", refuse)
    flight = b.begin(A, 50.0, 500, 2.0)
    assert b.view(A, 50.0).in_flight == 1
    b.first_content(flight, 50.5)
    b.finish(flight, 51.0, ok=True, stream=True, output_tokens=50)
    assert b.view(A, 51.0).samples == 51
