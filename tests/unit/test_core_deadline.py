"""`core.deadline`: one instant, never moved."""

import pytest

from fastroute.core.deadline import Deadline


def test_it_counts_down_to_zero_and_stays_there() -> None:
    deadline = Deadline.after(100.0, 10.0)
    assert [deadline.left_s(now_s) for now_s in (100.0, 104.5, 110.0, 250.0)] == [10.0, 5.5, 0.0, 0.0]


@pytest.mark.parametrize(("now_s", "passed"), [(99.0, False), (109.999, False), (110.0, True), (111.0, True)])
def test_it_has_passed_from_its_instant_on(now_s: float, passed: bool) -> None:
    assert Deadline.after(100.0, 10.0).passed(now_s) is passed


def test_it_cannot_be_moved() -> None:
    deadline = Deadline(5.0)
    with pytest.raises(AttributeError):
        deadline.at_s = 6.0  # type: ignore[misc]
