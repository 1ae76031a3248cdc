"""The simulated transport keeps the port's promises: pieces on time, close and cancel on every path, one bill."""

import asyncio

import pytest
from sim_support import CHEAP

from fastroute.core.failures import Failure, FaultError
from fastroute.core.failures import Fault as CoreFault
from fastroute.core.types import ChatRequest, UpstreamRequest
from fastroute.sim.loop import run_virtual
from fastroute.sim.traces import Row
from fastroute.sim.weather import phases
from fastroute.sim.wire import SimulatedDialect, SimulatedTranslator, SimulatedTransport
from fastroute.sim.world import Job, Provider, job_of
from fastroute.sim.worldfile import EndpointWorld, Fault, World

SPEC = EndpointWorld(ttft_ms=400, sigma=0.0, tpot_ms=10, tpot_sigma=0.0)
FULL = 400 * CHEAP.price.input_pusd + 301 * CHEAP.price.output_pusd


class Sent:
    """One job at one provider on the running loop."""

    def __init__(self, spec: EndpointWorld = SPEC, *faults: Fault, output_tokens: int = 301) -> None:
        self.loop = asyncio.get_running_loop()
        schedule = phases(World(endpoints={"cheap": spec}, faults=faults), 1000.0, 1)
        self.provider = Provider(CHEAP, spec, schedule, 0, 1)
        self.job: Job = job_of(7, Row(0.0, 400, output_tokens))
        self.transport = SimulatedTransport(self.provider, {7: self.job}, self.loop)

    async def open(self, whole: bool = False):
        return await self.transport.open(UpstreamRequest("cheap", (), b"7w" if whole else b"7s"))


def down(how: str) -> Fault:
    return Fault("down", 0.0, 100.0, ("cheap",), how=how)


def virtual(test):
    def run():
        run_virtual(test())

    run.__name__ = test.__name__
    return run


@virtual
async def test_headers_and_first_content_come_at_ttft_and_the_rest_at_its_pace():
    sent = Sent()
    reply = await sent.open()
    assert (reply.status, sent.loop.time()) == (200, pytest.approx(0.4))
    pieces = []
    assert await reply.pour(lambda data: pieces.append((round(sent.loop.time(), 3), data)) or True) is True
    assert pieces == [(0.4, b"1"), (1.4, b"100"), (2.4, b"100"), (3.4, b"100!")]
    reply.close()
    assert sent.job.bills_pusd == [FULL]
    assert sent.provider.in_flight == 0


@virtual
async def test_pour_stops_when_told_and_goes_on_where_it_stopped():
    reply = await Sent().open()
    seen = []
    assert await reply.pour(lambda data: bool(seen.append(data))) is False
    assert seen == [b"1"]
    assert await reply.read() == b"100"
    assert await reply.pour(lambda data: seen.append(data) or True) is True
    assert seen == [b"1", b"100", b"100!"]
    assert await reply.read() == b""


@virtual
async def test_what_the_taker_raises_comes_out_of_pour():
    reply = await Sent().open()

    def refuse(data: bytes) -> bool:
        raise FaultError(CoreFault(Failure.TOO_LARGE, "too large"))

    with pytest.raises(FaultError, match="too large"):
        await reply.pour(refuse)


@virtual
async def test_a_whole_reply_comes_at_its_end():
    sent = Sent()
    reply = await sent.open(whole=True)
    assert sent.loop.time() == pytest.approx(3.4)
    assert [await reply.read(), await reply.read()] == [b"301!", b""]


@virtual
async def test_a_refused_connection_is_quick_and_free():
    sent = Sent(SPEC, down("refuse"))
    with pytest.raises(FaultError) as caught:
        await sent.open()
    assert caught.value.fault.failure is Failure.CONNECT
    assert sent.loop.time() < 0.01
    assert (sent.job.bills_pusd, sent.provider.in_flight) == ([0], 0)


@virtual
async def test_an_error_status_has_a_body():
    sent = Sent(SPEC, down("error"))
    reply = await sent.open()
    assert (reply.status, await reply.read(), await reply.read()) == (500, b"{}", b"")
    assert SimulatedDialect().fault(500, reply.headers, b"{}").failure is Failure.SERVER_ERROR


@virtual
async def test_a_rate_limit_says_when_to_come_back():
    sent = Sent(EndpointWorld(requests_per_minute=6))
    (await sent.open()).close()
    reply = await sent.open()
    fault = SimulatedDialect().fault(reply.status, reply.headers, b"{}")
    assert fault.failure is Failure.RATE_LIMITED
    assert 9.0 <= fault.retry_after_s <= 10.0


@virtual
async def test_a_hang_ends_only_by_cancelling():
    sent = Sent(SPEC, down("hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await sent.open()
    assert sent.loop.time() == pytest.approx(30.0)
    assert (sent.job.bills_pusd, sent.provider.in_flight) == ([0], 0)


@pytest.mark.parametrize("stops", [True, False])
def test_leaving_midway_frees_the_provider_at_once_or_when_it_has_finished(stops):
    async def main():
        spec = EndpointWorld(ttft_ms=400, sigma=0.0, tpot_ms=10, tpot_sigma=0.0, cancel_stops_billing=stops)
        sent = Sent(spec)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.455):
                reply = await sent.open()
                try:
                    await reply.pour(lambda data: True)
                finally:
                    reply.close()
        written = 106 if stops else 301
        assert sent.job.bills_pusd == [400 * CHEAP.price.input_pusd + written * CHEAP.price.output_pusd]
        assert sent.provider.in_flight == (0 if stops else 1)
        await asyncio.sleep(2.0)
        assert sent.provider.in_flight == 0

    run_virtual(main())


@virtual
async def test_closing_twice_bills_once():
    sent = Sent()
    reply = await sent.open()
    reply.close()
    await asyncio.sleep(1.0)
    reply.close()
    assert sent.job.bills_pusd == [400 * CHEAP.price.input_pusd + 1 * CHEAP.price.output_pusd]


@virtual
async def test_a_lost_connection_midway_is_a_reset_after_what_came_before():
    sent = Sent(SPEC, Fault("down", 2.0, 5.0, ("cheap",), how="refuse"))
    reply = await sent.open()
    seen = []
    with pytest.raises(FaultError) as caught:
        await reply.pour(lambda data: seen.append(data) or True)
    assert caught.value.fault.failure is Failure.RESET
    assert (seen, sent.loop.time()) == ([b"1", b"100"], pytest.approx(2.0))


@virtual
async def test_a_lost_connection_before_content_is_a_reset_from_open():
    sent = Sent(SPEC, Fault("down", 0.2, 5.0, ("cheap",), how="refuse"))
    with pytest.raises(FaultError) as caught:
        await sent.open()
    assert caught.value.fault.failure is Failure.RESET
    assert sent.provider.in_flight == 0


@virtual
async def test_one_token_is_one_piece():
    reply = await Sent(output_tokens=1).open()
    assert [await reply.read(), await reply.read()] == [b"1!", b""]


@virtual
async def test_slow_tokens_come_one_by_one():
    spec = EndpointWorld(ttft_ms=100, sigma=0.0, tpot_ms=2500, tpot_sigma=0.0)
    reply, seen = await Sent(spec, output_tokens=3).open(), []
    await reply.pour(lambda data: seen.append(data) or True)
    assert seen == [b"1", b"1", b"1!"]


def test_the_translator_counts_and_ends():
    translator = SimulatedTranslator(40)
    assert translator.feed(b"1") == b"1"
    assert (translator.content_started, translator.finished, translator.usage) == (True, False, None)
    translator.feed(b"20!")
    assert translator.finished
    assert (translator.usage.input_tokens, translator.usage.output_tokens) == (40, 21)
    assert translator.end() == b""
    assert translator.fault is None


def test_a_reply_without_its_end_is_truncated():
    translator = SimulatedTranslator(40)
    translator.feed(b"3")
    translator.end()
    assert translator.fault.failure is Failure.TRUNCATED


def test_a_request_is_its_number():
    request = ChatRequest("12s", "simulated", "auto", {}, 0.0, 400, True)
    assert SimulatedDialect().encode(request, CHEAP).body == b"12s"
