"""A request's life on virtual time: failover, deadlines, commit, disconnects, accounting."""

import asyncio
import random

import pytest
from engine_world import FakeClient, Script, World, endpoint, route

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import ClientGone
from fastroute.core.types import Overrides, Role
from fastroute.sim.loop import run_virtual

A, B, C = endpoint("a"), endpoint("b", 2.0), endpoint("c", 3.0)
GOOD = Script()
CONTENT, END = b"C", b"!"


def refused() -> Script:
    return Script(headers_delay_s=0.001, open_error=FaultError(Fault(Failure.CONNECT, "connection refused")))


def status(code: int, text: bytes = b"oops", **headers: str) -> Script:
    return Script([(0.0, text)], status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


def play(test):
    """Runs an async test on virtual time."""

    def run():
        run_virtual(test())

    run.__name__ = test.__name__
    return run


@play
async def test_a_stream_is_relayed_from_first_content():
    world = World({"a": Script([(0.1, b"."), (0.3, b"C"), (0.1, b"CU"), (0.1, b"!")])}, route((A,)))
    client = await world.ask()
    assert (client.status, client.body, client.complete) == (200, b".CCU!", True)
    assert client.first_at_s == pytest.approx(0.45, abs=0.01)
    trail = world.trails[0]
    assert trail.attempts[0].role is Role.PRIMARY
    assert trail.ttft_s == pytest.approx(0.45, abs=0.01)
    assert trail.attempts[0].outcome.usage.input_tokens == 10
    assert trail.cost_pusd == 10 * 1_000_000 + 5 * 4_000_000
    assert trail.objective_met is True
    assert world.in_flight() == [0]


@play
async def test_a_whole_reply_is_delivered_once():
    world = World({"a": Script([(0.4, b"CCU"), (0.1, b"!")])}, route((A,)))
    client = await world.ask(stream=False)
    assert (client.status, client.body, client.answers) == (200, b"CCU!", 1)
    assert world.trails[0].ttft_s is None
    assert world.trails[0].winner.endpoint == "a"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        refused(),
        status(500),
        status(502, b"<html>"),
        status(503),
        status(529),
        status(429),
        status(401),
        status(404),
        Script([(0.1, FaultError(Fault(Failure.RESET, "reset")))]),
        Script([(0.1, b"E")]),
        Script([]),
        Script([(0.1, b"..")]),
    ],
    ids=["refused", "500", "502", "503", "529", "429", "401", "404", "reset", "error-in-200", "empty", "ends-before-content"],
)
def test_failure_before_content_goes_to_the_next_endpoint_at_once(bad, stream):
    async def main():
        world = World({"a": bad, "b": Script([(0.2, b"C!")])}, route((A,), (B,)))
        client = await world.ask(stream=stream)
        assert (client.status, client.body) == (200, b"C!")
        trail = world.trails[0]
        assert [a.endpoint for a in trail.attempts] == ["a", "b"]
        gap_s = trail.attempts[1].started_s - trail.attempts[0].ended_s
        assert gap_s < 0.02
        assert trail.attempts[1].role is Role.ESCALATION
        assert world.in_flight() == [0, 0]

    run_virtual(main())


@play
async def test_within_a_tier_it_is_called_failover():
    world = World({"a": refused(), "b": GOOD}, route((A, B)))
    await world.ask()
    assert world.trails[0].attempts[1].role is Role.FAILOVER


@play
async def test_a_hang_before_the_first_token_is_answered_by_the_second_inside_the_deadline():
    world = World({"a": Script(headers_delay_s=60), "b": GOOD}, route((A,), (B,)))
    client = await world.ask()
    assert client.status == 200
    assert client.answered_at_s < 10.0
    assert world.trails[0].attempts[0].failure is Failure.FIRST_CONTENT_TIMEOUT
    assert "cancel a" in world.transport.log


@pytest.mark.parametrize(
    "pieces", [[(0.1, b"."), (60, b"C")], [(1.0, b".")] * 60], ids=["role-then-silence", "a-comment-a-second"]
)
def test_only_content_resets_the_timer(pieces):
    async def main():
        world = World({"a": Script(pieces), "b": GOOD}, route((A,), (B,)))
        client = await world.ask()
        assert client.status == 200
        assert client.answered_at_s < 10.0
        assert world.trails[0].attempts[0].failure is Failure.FIRST_CONTENT_TIMEOUT

    run_virtual(main())


@pytest.mark.parametrize("stream", [True, False])
def test_when_all_hang_the_deadline_ends_it_not_attempts_times_timeout(stream):
    async def main():
        hang = Script(headers_delay_s=1000)
        world = World({"a": hang, "b": hang, "c": hang}, route((A,), (B,), (C,)))
        client = await world.ask(stream=stream)
        assert client.status == 504
        assert client.answered_at_s == pytest.approx(10.0, abs=0.05)
        assert 2 <= len(world.trails[0].attempts) <= 3

    run_virtual(main())


@play
async def test_a_header_can_shorten_the_deadline():
    world = World({"a": Script(headers_delay_s=60)}, route((A,)))
    client = await world.ask(overrides=Overrides(deadline_s=1.5))
    assert (client.status, client.answered_at_s) == (504, pytest.approx(1.5, abs=0.02))


@play
async def test_all_down_is_a_clear_503():
    world = World({"a": refused(), "b": refused(), "c": status(500)}, route((A,), (B,), (C,)))
    client = await world.ask()
    assert client.status == 503
    assert b"every endpoint failed (connect, server error)" in client.body
    assert client.answered_at_s < 1.0
    assert world.trails[0].objective_met is False


@play
async def test_attempts_are_capped():
    world = World({n: refused() for n in "abcd"}, route((A,), (B,), (C,), (endpoint("d"),), max_attempts=2))
    await world.ask()
    assert len(world.transport.sent) == 2


@play
async def test_the_only_endpoint_is_tried_once_more_after_a_lost_connection():
    scripts = iter([refused(), GOOD])
    world = World({"a": lambda: next(scripts)}, route((A,)))
    client = await world.ask()
    assert client.status == 200
    assert [a.role for a in world.trails[0].attempts] == [Role.PRIMARY, Role.RETRY]


@play
async def test_the_only_endpoint_is_not_tried_again_after_an_error_status():
    world = World({"a": status(500)}, route((A,)))
    client = await world.ask()
    assert (client.status, world.transport.sent) == (503, ["a"])


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_verdict_on_the_request_is_final_and_passes_through(code):
    async def main():
        world = World({"a": status(code, b"bad field"), "b": GOOD}, route((A,), (B,)))
        client = await world.ask()
        assert (client.status, world.transport.sent) == (code, ["a"])
        assert b"bad field" in client.body
        assert world.trails[0].objective_met is None

    run_virtual(main())


@play
async def test_a_prompt_too_long_goes_to_another_model_and_is_told_when_none_takes_it():
    small, twin = endpoint("a"), endpoint("t", model="model-a")
    world = World({"a": status(400, b"maximum context length is 8"), "t": GOOD, "b": GOOD}, route((small, twin), (B,)))
    client = await world.ask()
    assert (client.status, world.transport.sent) == (200, ["a", "b"])
    world = World({"a": status(400, b"maximum context length is 8"), "t": GOOD}, route((small, twin)))
    client = await world.ask()
    assert client.status == 400
    assert b"maximum context length" in client.body


@play
async def test_what_one_dialect_cannot_say_another_may():
    world = World({"a": GOOD, "b": GOOD}, route((A,), (B,)), unsupported=("a",))
    client = await world.ask()
    assert (client.status, world.transport.sent) == (200, ["b"])
    world = World({"a": GOOD}, route((A,)), unsupported=("a",))
    assert (await world.ask()).status == 400


@play
async def test_rate_limited_with_a_hint_is_left_alone_for_that_long():
    limited = status(429, b"slow down", retry_after="7")
    world = World({"a": limited, "b": GOOD}, route((A,), (B,)))
    await world.ask()
    times = []
    for _ in range(40):
        await asyncio.sleep(0.25)
        before = len(world.transport.sent)
        await world.ask()
        times += [world.clock.now_s() for name in world.transport.sent[before:] if name == "a"]
    assert min(times) >= 7.0
    assert all(t.status == 200 for t in world.trails)


@play
async def test_when_all_are_limited_the_earliest_hint_reaches_the_client():
    world = World({"a": status(429, retry_after="30"), "b": status(429, retry_after="9")}, route((A,), (B,)))
    client = await world.ask()
    assert client.status == 503
    assert client.trail.fault.retry_after_s == pytest.approx(9, abs=1)
    client = await world.ask()
    assert client.trail.fault.failure is Failure.NO_CAPACITY
    assert client.trail.fault.retry_after_s == pytest.approx(9, abs=1)
    assert world.transport.sent == ["a", "b"]


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ([(0.1, b"C"), (0.1, FaultError(Fault(Failure.RESET, "reset")))], "reset"),
        ([(0.1, b"C"), (0.1, b"")], "truncated"),
        ([(0.1, b"C"), (0.1, b"CE")], "overloaded"),
        ([(0.1, b"C"), (300, b"C")], "stall"),
        ([(0.1, b"C"), *[(0.5, b".")] * 100], "stall"),
    ],
    ids=["reset", "clean-cut", "error-event", "stall", "comments-only"],
)
def test_after_first_content_a_failure_is_an_error_event_and_nothing_follows(pieces, failure):
    async def main():
        world = World({"a": Script(pieces), "b": GOOD}, route((A,), (B,)))
        client = await world.ask()
        assert client.body.endswith(f"<{failure}>".encode())
        assert client.complete is False
        assert client.answers == 1
        assert world.transport.sent == ["a"]
        attempt = world.trails[0].attempts[0]
        assert attempt.cost_estimated
        assert attempt.cost_pusd > 0
        assert world.trails[0].fault.failure == failure
        assert world.trails[0].objective_met is False

    run_virtual(main())


@play
async def test_a_stream_is_cut_at_the_deadline_or_outlives_it_as_the_route_says():
    slow = [(0.4, b"C")] * 40 + [(0.1, b"!")]
    world = World({"a": Script(slow)}, route((A,)))
    client = await world.ask()
    assert client.body.endswith(b"<deadline>")
    assert client.answered_at_s == pytest.approx(10.0, abs=0.05)
    world = World({"a": Script(slow)}, route((A,), deadline_covers="first_content"))
    client = await world.ask()
    assert client.complete is True


@play
async def test_a_failure_in_the_same_piece_as_the_first_content_commits_nothing():
    world = World({"a": Script([(0.1, b"CE")]), "b": Script([(0.1, b"C!")])}, route((A,), (B,)))
    client = await world.ask()
    assert (client.status, client.body) == (200, b"C!")


@play
async def test_client_gone_before_content_stops_the_upstream_and_the_chain():
    world = World({"a": Script(headers_delay_s=5), "b": GOOD}, route((A,), (B,)))
    task = asyncio.create_task(world.ask())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.transport.log == ["open a", "cancel a"]
    assert world.in_flight() == [0, 0]
    trail = world.trails[0]
    assert (trail.status, trail.fault.failure, trail.objective_met) == (499, Failure.CLIENT_GONE, None)
    assert len(asyncio.all_tasks()) == 1


@play
async def test_client_gone_mid_stream_closes_the_upstream():
    world = World({"a": Script([(0.1, b"C")] * 50)}, route((A,)))
    with pytest.raises(ClientGone):
        await world.ask(FakeClient(world.clock, leaves_after=2))
    assert world.transport.log == ["open a", "close a"]
    assert world.in_flight() == [0]
    assert world.trails[0].fault.failure is Failure.CLIENT_GONE
    assert world.admission.views((A,), world.clock.now_s())[0].p_fail < 0.2


@play
async def test_a_client_that_does_not_read_is_not_the_providers_fault():
    world = World({"a": Script([(0.1, b"C")] * 5)}, route((A,)))
    client = await world.ask(FakeClient(world.clock, read_s=100))
    assert client.complete is False
    assert world.trails[0].fault.failure is Failure.CLIENT_GONE


@play
async def test_a_sink_that_raises_is_reported_and_felt_by_nobody():
    world = World({"a": GOOD}, route((A,)))
    told = []

    class Broken:
        def emit(self, trail):
            raise OSError("disk full")

    parts = world.router.parts
    object.__setattr__(parts, "sinks", [Broken(), world])
    object.__setattr__(parts, "on_sink_error", lambda sink, error: told.append(str(error)))
    client = await world.ask()
    assert (client.status, told, len(world.trails)) == (200, ["disk full"], 1)


@play
async def test_an_unknown_model_is_a_404_that_names_it():
    world = World({"a": GOOD}, route((A,)))
    client = await world.ask(model="nope")
    assert client.status == 404
    assert b"'nope'" in client.body
    assert world.transport.sent == []


@play
async def test_a_dead_endpoint_is_soon_left_alone_and_found_again():
    state = {"up": False}
    world = World({"a": lambda: GOOD if state["up"] else refused(), "b": GOOD}, route((A,), (B,)))
    for _ in range(100):
        assert (await world.ask()).status == 200
        await asyncio.sleep(0.1)
    assert world.transport.sent.count("a") < 20
    state["up"] = True
    before = len(world.trails)
    for _ in range(1200):
        await world.ask()
        await asyncio.sleep(0.1)
    late = [t.winner.endpoint for t in world.trails[before:]][-100:]
    assert late.count("a") > 80


@play
async def test_with_every_breaker_open_the_router_still_tries():
    state = {"up": False}
    world = World({"a": lambda: GOOD if state["up"] else refused()}, route((A,)))
    for _ in range(10):
        await world.ask()
    state["up"] = True
    assert (await world.ask()).status == 200


@play
async def test_in_flight_counts_never_drift_under_random_ends():
    rng = random.Random(3)

    def any_script() -> Script:
        return rng.choice(
            [
                GOOD,
                refused(),
                status(500),
                status(429),
                Script(headers_delay_s=50),
                Script([(0.1, b"C"), (50, b"C")]),
                Script([(0.1, b"CE")]),
            ]
        )

    world = World(dict.fromkeys("abc", any_script), route((A, B), (C,)))
    tasks = [asyncio.create_task(world.ask(stream=rng.random() < 0.7)) for _ in range(300)]
    for i in range(200):
        await asyncio.sleep(0.1)
        world.admission.tick(world.clock.now_s())
        if i % 3 == 0:
            rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert world.in_flight() == [0, 0, 0]
    assert [world.admission.views((e,), world.clock.now_s())[0].in_flight for e in (A, B, C)] == [0, 0, 0]
    assert {t.request.id for t in world.trails} >= {f"r{i}" for i in range(1, world.count + 1)}
    assert len(world.trails) == world.count
    assert len(asyncio.all_tasks()) == 1


@play
async def test_requests_of_one_class_are_decided_once_until_something_happens():
    """A plan is taken over while all is calm; a failure anywhere ends it at once."""
    world = World({"a": GOOD, "b": GOOD}, route((A, B)))
    for _ in range(80):
        await world.ask()
    world.admission.tick(world.clock.now_s())
    await world.ask()
    await world.ask()
    first, second = world.trails[-2:]
    assert first.decisions[0].lasts
    assert second.decisions[0] is first.decisions[0]
    world.transport.scripts["a"] = Script(status=500)
    client = await world.ask()
    assert (client.status, [a.endpoint for a in world.trails[-1].attempts]) == (200, ["a", "b"])
    await world.ask()
    assert world.trails[-1].decisions[0] is not first.decisions[0]


@play
async def test_a_size_of_its_own_is_a_class_of_its_own():
    world = World({"a": GOOD, "b": GOOD}, route((A, B)))
    for _ in range(80):
        await world.ask()
    world.admission.tick(world.clock.now_s())
    for size in (4000, 4010, 8000):
        await world.ask(input_bytes=size)
    near, same, far = (t.decisions[0] for t in world.trails[-3:])
    assert near is same
    assert far is not near
