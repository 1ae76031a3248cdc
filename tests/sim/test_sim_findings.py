"""What the simulations found wrong in the router once, as small runs."""

from sim_support import CHEAP, played

from fastroute.core.failures import Blame
from fastroute.sim.worldfile import Fault
from fastroute.stats.board import Scoreboard


def used_between(run, from_s: float, until_s: float) -> list[str]:
    return [line.tries[0].endpoint for line in run.lines if from_s <= line.at_s < until_s]


def test_a_slow_drip_is_left():
    """Pitfall 23. Every answer takes 9 s where 8 s are promised; half a minute later the router should know."""
    run = played(Fault("slow_drip", 60.0, 60.0, ("cheap",), factor=9.0), requests=360)
    used = used_between(run, 90.0, 120.0)
    assert used.count("dear") > 0.5 * len(used)


def test_a_slow_drip_is_found_before_any_of_its_streams_has_ended():
    """Pitfall 23: within 16 tokens and three requests; the streams take 9 s."""
    run = played(Fault("slow_drip", 60.0, 60.0, ("cheap",), factor=9.0), requests=360)
    sent = [line.at_s for line in run.lines if line.tries[0].endpoint == "cheap" and 60.0 <= line.at_s < 120.0]
    doubted_s = next(c.at_s for c in run.changes if c.uneasy and c.at_s >= 60.0)
    assert doubted_s - 60.0 < 6.0
    assert sum(at_s < doubted_s - 16 * 0.09 - 0.6 for at_s in sent) <= 3 + 1


def test_after_a_brownout_it_is_used_again_soon():
    """Traffic is back within 30 s of the fault's end, at two requests a second."""
    run = played(Fault("brownout", 60.0, 90.0, ("cheap",), factor=8.0), requests=600)
    used = used_between(run, 180.0, 240.0)
    assert used.count("cheap") > 0.8 * len(used)


def test_an_endpoint_that_idles_is_not_believed_to_fail_more_than_a_busy_one():
    """A thousand good answers and a quiet minute: still at most twice as likely to fail as with traffic."""
    board = Scoreboard()
    board.add(CHEAP)
    for i in range(1000):
        flight = board.begin(CHEAP, i * 0.1, 100, None)
        board.first_content(flight, i * 0.1 + 0.05)
        board.finish(flight, i * 0.1 + 0.09, ok=True, stream=True, output_tokens=50, blame=Blame.NONE)
    busy, idle = board.view(CHEAP, 100.0).p_fail, board.view(CHEAP, 170.0).p_fail
    assert idle <= 2.0 * busy
