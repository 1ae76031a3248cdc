"""What is kept over a restart: the same predictions, believed half; nothing old, foreign or broken."""

import math

import msgspec
import pytest
from kept_support import WALL_S, A, B, experienced, fresh, served

from fastroute.core.failures import Blame
from fastroute.stats import kept, window
from fastroute.stats.kept import KeptSums, NotKept, decode, encode
from fastroute.stats.lengths import Lengths
from fastroute.stats.scale import Scale

HOUR_S = 3600.0


def restarted(board, now_s, gap_s=1.0, *endpoints):
    """Through the bytes into another process, whose monotonic clock says something else."""
    found, again = decode(encode(board.kept(now_s, WALL_S))), fresh(*endpoints)
    names = again.recall(found, 77.0, WALL_S + gap_s)
    return again, names


@pytest.mark.parametrize("stream", [True, False], ids=["streams", "whole replies"])
def test_a_restart_predicts_as_before(stream):
    board, now_s = experienced(stream=stream)
    again, names = restarted(board, now_s)
    before, after = board.view(A, now_s), again.view(A, 77.0)
    assert names == ["a"]
    for tokens in (100, 500, 4000):
        assert after.predicted_ttft_s(tokens) == pytest.approx(before.predicted_ttft_s(tokens), rel=0.03)
        for q, within in ((0.5, 0.07), (0.9, 0.1), (0.99, 0.25)):  # a bucket; the last minutes' luck with stragglers is forgotten
            assert after.ttft_quantile_s(q, tokens) == pytest.approx(before.ttft_quantile_s(q, tokens), rel=within)
    assert after.tpot_s == pytest.approx(before.tpot_s, rel=0.03)
    assert after.output_tokens == pytest.approx(before.output_tokens, rel=0.1)
    cold = fresh().view(A, 0.0)
    assert abs(cold.predicted_ttft_s(4000) / before.predicted_ttft_s(4000) - 1.0) > 0.3, "else this shows nothing"


def test_what_is_read_back_is_believed_half():
    board, now_s = experienced()
    again, _ = restarted(board, now_s)
    old, new = board._records["a"].first.window, again._records["a"].first.window
    assert new.long.effective_n(77.0) == pytest.approx(old.long.effective_n(now_s) / 2.0, rel=1e-6)
    assert again.view(A, 77.0).samples == board.view(A, now_s).samples / 2
    assert again._records["a"].lengths._weight == pytest.approx(board._records["a"].lengths._weight / 2.0)


def test_half_the_weight_is_outvoted_twice_as_fast():
    """New samples move a recalled scale more than one that has seen it all itself."""
    board, now_s = experienced()
    again, _ = restarted(board, now_s)
    for i in range(10):
        served(board, now_s + i, ttft_s=4.0)
        served(again, 77.0 + i, ttft_s=4.0)
    assert again.view(A, 90.0).predicted_ttft_s(500) > board.view(A, now_s + 13.0).predicted_ttft_s(500) * 1.02


def test_the_age_goes_on_through_a_restart():
    board, now_s = experienced()
    age_s = board.view(A, now_s).age_s
    again, _ = restarted(board, now_s, HOUR_S)
    assert again.view(A, 77.0).age_s == pytest.approx(age_s + HOUR_S)
    third, names = restarted(again, 77.0, 23.5 * HOUR_S)
    assert names == [], "24.5 hours without a sample, whoever wrote it down in between"
    assert third.view(A, 77.0).age_s is None


def test_a_bad_spell_fades_while_nobody_runs():
    """Pitfall 10."""
    board, now_s = experienced()
    usual_s = board.view(A, now_s).predicted_ttft_s(500)
    for i in range(100):
        served(board, now_s + i, ttft_s=9.0)
    slow_s = board.view(A, now_s + 110.0).predicted_ttft_s(500)
    assert slow_s > 2.0 * usual_s
    soon, _ = restarted(board, now_s + 110.0, 1.0)
    later, _ = restarted(board, now_s + 110.0, HOUR_S)
    assert soon.view(A, 77.0).predicted_ttft_s(500) == pytest.approx(slow_s, rel=0.05)
    assert later.view(A, 77.0).predicted_ttft_s(500) < 1.5 * usual_s


def test_an_episode_of_trouble_is_not_kept_as_the_long_run():
    board, now_s = experienced()
    board.suspected(A)
    for i in range(100):
        served(board, now_s + i, ttft_s=15.0)
    sick = board.kept(now_s + 110.0, WALL_S).endpoints["a"]
    healthy, _ = experienced()
    well = healthy.kept(now_s, WALL_S).endpoints["a"]
    assert sick.ttft.long == pytest.approx(well.ttft.long)
    assert sum(sick.tail.events[60:]) == pytest.approx(sum(well.tail.events[60:]), rel=0.2)


@pytest.mark.parametrize(("gap_s", "names"), [(23.9 * HOUR_S, ["a"]), (24.1 * HOUR_S, []), (-HOUR_S, ["a"])])
def test_a_day_is_the_oldest(gap_s, names):
    board, now_s = experienced()
    again, found = restarted(board, now_s, gap_s)
    assert found == names
    assert (again.view(A, 77.0).samples > 0) == bool(names)


@pytest.mark.parametrize(
    "change", [{"base_url": "http://elsewhere"}, {"model": "another"}, {"region": "eu"}], ids=["address", "model", "region"]
)
def test_an_endpoint_at_another_place_is_another(change):
    board, now_s = experienced()
    moved = msgspec.structs.replace(A, **change)
    again, names = restarted(board, now_s, 1.0, moved, B)
    assert (names, again.view(moved, 77.0).samples) == ([], 0)


def test_another_dialect_is_another_place():
    board, now_s = experienced()
    moved = msgspec.structs.replace(A, profile=msgspec.structs.replace(A.profile, dialect="other"))
    assert restarted(board, now_s, 1.0, moved, B)[1] == []


def test_another_key_or_price_is_the_same_place():
    board, now_s = experienced()
    changed = msgspec.structs.replace(A, key="new", price=None, weight=3.0)
    assert restarted(board, now_s, 1.0, changed)[1] == ["a"]


def test_endpoints_that_are_gone_or_hardly_known_are_left_out():
    board, now_s = experienced()
    for i in range(3):
        served(board, now_s + i, B)
    assert set(board.kept(now_s + 10.0, WALL_S).endpoints) == {"a"}, "three samples are a warm-up"
    assert restarted(board, now_s, 1.0, B)[1] == []


def test_neither_failures_nor_flights_are_kept():
    board, now_s = experienced()
    for i in range(8):
        flight = board.begin(A, now_s + i, 500, None)
        board.finish(flight, now_s + i + 0.1, ok=False, stream=True, output_tokens=None, blame=Blame.ERROR)
    board.begin(A, now_s + 9.0, 500, None)
    view = restarted(board, now_s + 10.0)[0].view(A, 77.0)
    assert (view.in_flight, view.p_fail) == (0, pytest.approx(0.05))


def test_a_recalled_board_learns_on():
    again, _ = restarted(*experienced())
    before = again.view(A, 77.0).samples
    for i in range(300):
        served(again, 77.0 + i, ttft_s=0.3, input_tokens=500)
        again.tick(77.5 + i)
    view = again.view(A, 380.0)
    assert view.samples == before + 300
    assert view.predicted_ttft_s(500) == pytest.approx(0.3, rel=0.15)


def test_the_newest_sample():
    board = fresh()
    assert board.newest_s() is None
    served(board, 3.0)
    assert board.newest_s() == pytest.approx(4.5)


# --- bytes ---


def a_file() -> dict:
    board, now_s = experienced()
    return msgspec.json.decode(encode(board.kept(now_s, WALL_S)))


def test_bytes_and_back():
    board, now_s = experienced()
    found = board.kept(now_s, WALL_S)
    assert decode(encode(found)) == found
    assert len(window.BOUNDS) == kept.BUCKETS


def test_a_file_is_small():
    board, now_s = experienced()
    assert len(encode(board.kept(now_s, WALL_S))) < 8_000


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"fastroute_statistics": "1"}'])
def test_what_is_no_statistics(data):
    with pytest.raises(NotKept):
        decode(data)


def test_another_version_says_so():
    with pytest.raises(NotKept, match="version 2"):
        decode(msgspec.json.encode(a_file() | {"fastroute_statistics": 2}))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file(share):
    data = msgspec.json.encode(a_file())
    with pytest.raises(NotKept):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ttft", "long"), 0.0),
        (("ttft", "now"), -1.0),
        (("ttft", "n"), -1),
        (("tail", "events"), [1.0]),
        (("tail", "censored"), [-1.0] * kept.BUCKETS),
        (("slope", "per_token"), 1e300),
        (("pace", "scale"), None),
        (("place",), ["x"]),
        (("age_s",), -5.0),
    ],
    ids=lambda v: ".".join(v) if isinstance(v, tuple) else "",
)
def test_absurd_values_are_refused(path, value):
    file = a_file()
    at = file["endpoints"]["a"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(NotKept):
        decode(msgspec.json.encode(file))


@pytest.mark.parametrize("sums", [[], [1.0], [1e9, 1.0, 1.0], [1e-9, 1e9, 1e9], [10.0, 50.0, 1e12], [-1.0, 1.0, 1.0]])
def test_sums_that_cannot_be_are_left_out(sums):
    lengths = Lengths()
    lengths.recall(KeptSums("log moments", sums))
    assert lengths.points() == Lengths().points()


def test_sums_of_another_form_are_left_out():
    told = Lengths()
    told.observe(5000)
    lengths = Lengths()
    lengths.recall(msgspec.structs.replace(told.kept(), form="something else"))
    assert lengths.points() == Lengths().points()


def test_a_recalled_scale_begins_where_it_was_and_moves_more():
    scale, again = Scale(1.0, 60.0), Scale(1.0, 60.0)
    for i in range(1000):
        scale.step(3.0, float(i))
    again.recall(scale.kept(1000.0), 1000.0)
    assert again.value(1000.0) == pytest.approx(scale.value(1000.0))
    scale.step(6.0, 1001.0)
    again.step(6.0, 1001.0)
    assert math.log(again.value(1001.0) / 3.0) > 1.5 * math.log(scale.value(1001.0) / 3.0)
