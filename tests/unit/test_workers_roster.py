import pytest

from fastroute.workers.roster import LIVED_S, LONGEST_WAIT_S, Phase, Roster


def serving(places=3):
    roster = Roster(places)
    for place in range(places):
        roster.started(place, 100 + place, 0.0)
        roster.is_ready(place)
    return roster


def test_everybody_is_due_at_the_start_and_nobody_after():
    roster = Roster(3)
    assert roster.due(0.0) == [0, 1, 2]
    for place in range(3):
        roster.started(place, 100 + place, 0.0)
    assert roster.due(1e9) == []
    assert roster.wait_s(0.0) is None
    assert roster.pids() == [100, 101, 102]
    assert roster.pids(range(2)) == [100, 101]


def test_the_crew_is_ready_once_and_with_its_last_member():
    roster = Roster(2)
    for place in range(2):
        roster.started(place, 100 + place, 0.0)
    assert [roster.is_ready(0), roster.is_ready(1), roster.is_ready(1)] == [False, True, False]
    assert roster.phase is Phase.SERVING


def test_a_death_before_everybody_was_ready_ends_it_all():
    roster = Roster(2)
    roster.started(0, 100, 0.0)
    roster.started(1, 101, 0.0)
    roster.is_ready(0)
    assert roster.ended(101, 2, 1.0) == 1
    assert roster.phase is Phase.STOPPING
    assert roster.due(1e9) == []
    roster.ended(100, 0, 2.0)
    assert roster.exit_code == 2


def test_who_had_lived_is_started_again_at_once():
    roster = serving()
    roster.ended(101, -9, LIVED_S)
    assert roster.due(LIVED_S) == [1]
    roster.started(1, 201, LIVED_S)
    assert roster.due(1e9) == []


def test_who_dies_of_its_start_waits_longer_each_time():
    roster, now_s, waits = serving(), 1.0, []
    for n in range(9):
        pid = roster.members[0].pid
        roster.ended(pid, 1, now_s)
        waits.append(roster.wait_s(now_s))
        assert roster.due(now_s) == []
        now_s += waits[-1]
        assert roster.due(now_s) == [0]
        roster.started(0, 300 + n, now_s)
        now_s += 0.5
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert waits[-1] == LONGEST_WAIT_S
    roster.ended(roster.members[0].pid, 1, now_s + LIVED_S)
    assert roster.due(now_s + LIVED_S) == [0]


def test_once_stopping_nobody_is_started():
    roster = serving(2)
    roster.ended(100, -9, 1.0)
    roster.stop()
    assert roster.due(1e9) == []
    roster.ended(101, 0, 1.0)
    assert roster.due(1e9) == []
    assert roster.pids() == []


def test_strangers_are_none_of_its_business():
    assert serving().ended(4711, 0, 1.0) is None


@pytest.mark.parametrize(("codes", "expected"), [((0, 0), 0), ((0, 1), 1), ((-9, 0), 1), ((2, 1), 2)])
def test_the_exit_code_is_the_first_that_is_not_0(codes, expected):
    roster = serving(2)
    roster.stop()
    for place, code in enumerate(codes):
        roster.ended(100 + place, code, 1.0)
    assert roster.exit_code == expected


def test_an_earlier_death_does_not_spoil_a_clean_end():
    roster = serving(1)
    roster.ended(100, -9, 10.0)
    roster.started(0, 200, 10.0)
    roster.stop()
    roster.ended(200, 0, 20.0)
    assert roster.exit_code == 0
