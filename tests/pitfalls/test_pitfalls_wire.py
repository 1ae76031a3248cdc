"""Pitfalls that only real sockets show: 5, 6, 17, 18, 42. See docs/pitfalls.md."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import naive_hedging
import naive_wire as naive
import pytest
from e2e_support import Kept, provider, stack, until
from pitfall_support import caught, demand
from raw_provider import CONTENT, END, HEAD, PING, ROLE, RawProvider, end

from fastroute.app import App
from fastroute.config.load import parse_config

ASK = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Say something."}]}


@asynccontextmanager
async def sidecar(url: str):
    """A real sidecar in front of one provider, and its port."""
    text = f"""
version: 1
listen: {{port: 0, admin_port: 0}}
providers: {{p: {{preset: openai-compatible, base_url: '{url}', api_key: k}}}}
endpoints: {{only: {{provider: p, model: m, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 4}}}}}}
routes: {{auto: {{endpoints: [only], objective: {{ttft_ms: 2000, total_ms: 8000}}}}}}
"""
    app = App(parse_config(text, env={}), sinks=(Kept(),))
    port, _ = await app.start()
    try:
        yield app, port
    finally:
        await app.stop(drain_s=1.0)


async def ask(port: int) -> bytes:
    """One request over a connection of its own, read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(ASK).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def median_ms(app: App) -> float:
    """Of time to first content, as exported."""
    keeper = app.admission.keepers()[0]
    return app.admission.board.export(keeper.endpoint)["ttft"]["ms"]["p50"]


# --- 5 ---


async def check_first_content() -> None:
    """Headers, a comment and the role come at once, content 0.4 s later: that is the time to first content."""
    with RawProvider((0.0, HEAD), (0.0, PING), (0.0, ROLE), (0.2, PING), (0.2, CONTENT), (0.0, END)) as raw:
        async with sidecar(raw.url) as (app, port):
            for _ in range(2):
                assert b"[DONE]" in await ask(port)
            demand(390 <= median_ms(app) <= 600, f"time to first content is {median_ms(app)} ms, should be 400")


async def test_pitfall_05_first_content():
    await check_first_content()


async def test_pitfall_05_the_naive_version_fails():
    with naive.first_byte_counts():
        await caught_there(check_first_content)


async def caught_there(check, *subject) -> None:
    """`caught`, where the check is a coroutine."""
    failed = None
    try:
        await check(*subject)
    except AssertionError as error:
        failed = error

    def again() -> None:
        if failed is not None:
            raise failed

    caught(again)


# --- 6 ---


async def slow_reader(port: int, wait_s: float) -> None:
    """Asks, reads nothing for a while with next to no buffer, then all."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(wire, ("127.0.0.1", port))
    body = json.dumps(ASK).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    await loop.sock_sendall(wire, head + b"content-length: %d\r\n\r\n" % len(body) + body)
    await asyncio.sleep(wait_s)
    while await loop.sock_recv(wire, 1 << 20):
        pass
    wire.close()


PIECES, PER_PIECE = 200, 100


async def check_slow_reader() -> None:
    """A client that does not read for a second: the provider's pace stays what a quick client shows."""
    pieces = [(0.003, CONTENT * PER_PIECE)] * PIECES
    paces_us = []
    with RawProvider((0.0, HEAD), *pieces, (0.0, end(PIECES * PER_PIECE))) as raw:
        for wait_s in (0.0, 1.0):
            async with sidecar(raw.url) as (app, port):
                keeper = app.admission.keepers()[0]
                for _ in range(4):  # while this process is late, nothing is learned
                    await slow_reader(port, wait_s)
                    await asyncio.sleep(0.05)
                    if app.admission.board._records["only"].pace._streams:
                        break
                paces_us.append(app.admission.view(keeper, app.clock.now_s()).tpot_s * 1e6)
    quick, slow = paces_us
    demand(slow <= 1.5 * quick, f"{quick:.0f} us a token for a quick client, {slow:.0f} for a slow one")


async def test_pitfall_06_slow_reader():
    await check_slow_reader()


async def test_pitfall_06_the_naive_version_fails():
    with naive.clients_time_counts():
        await caught_there(check_slow_reader)


# --- 17, 18 ---

ROUTE = "{endpoints: [cheap, dear], objective: {ttft_ms: 450, total_ms: 20000}, deadline_ms: 30000}"


async def hedged(s, times: int) -> None:
    """So many requests whose first attempt falls silent for a while, after enough good ones that both are known."""
    for _ in range(10):
        await asyncio.gather(*(s.ask(stream=True, model=name) for name in ("cheap", "dear") * 4))
    budget = s.app.admission.budget(s.app.catalog.route_for("auto"))
    budget.requests += 10_000
    budget.spent_pusd += 10**15
    keeper = next(k for k in s.app.admission.keepers() if k.endpoint.name == "cheap")
    for _ in range(times):
        s.mocks.set_fault("cheap", "role_then_silence", resume_after_ms=1200)
        await s.ask(stream=True)
        s.mocks.clear_faults("cheap")
        keeper.suspicion.suspect, keeper.overdue = False, 0


def losers(s) -> list:
    return [a for t in s.trails for a in t.attempts if a.failure is not None]


async def check_losers_stop() -> None:
    """A hedge wins: the provider sees the loser leave at once, writes no more for it, and no task is left."""
    specs = {"cheap": provider(usd=1.0), "dear": provider(usd=1.5)}
    async with stack(specs, ROUTE) as s:
        await hedged(s, 2)
        await until(lambda: not any(r["open"] for r in s.mocks.requests()))
        late = [r for r in s.sent("cheap") if r["fault"]]
        assert len(late) == 2, "else this shows nothing"
        assert any(a.role.value == "hedge" for t in s.trails for a in t.attempts), "else this shows nothing"
        demand(all(r["cancelled"] and r["cancelled_ms"] < 1000 for r in late), "a loser ran on")
        demand(sum(r["tokens_after_cancel"] for r in late) <= len(late), "tokens after the cancel")
        demand(not any(t.get_name() == "hedge" for t in asyncio.all_tasks()), "a task is left")


async def test_pitfall_17_losers_stop():
    await check_losers_stop()


async def test_pitfall_17_the_naive_version_fails():
    with naive_hedging.losers_run_on():
        await caught_there(check_losers_stop)


async def check_bill() -> None:
    """What the router books is what the providers charge, within 1 %: those that charge after a cancel too."""
    same = {"output_tokens": {"mean": 200}, "latency": {"ttft_ms": 20, "sigma": 0.0, "tpot_ms": 0.2}}  # as long as the prior says
    specs = {"cheap": provider(usd=1.0, bills_after_cancel=True, **same), "dear": provider(usd=1.5, **same)}
    async with stack(specs, ROUTE) as s:
        await hedged(s, 3)
        await until(lambda: not any(r["open"] for r in s.mocks.requests()))
        assert len(losers(s)) == 3, "else this shows nothing"
        booked, charged = sum(t.cost_pusd for t in s.trails), s.mocks.bill()["total_pusd"]
        demand(abs(booked / charged - 1.0) <= 0.01, f"booked {booked}, charged {charged}")


async def test_pitfall_18_the_bill():
    await check_bill()


@pytest.mark.parametrize("mistake", [naive_hedging.losers_are_free, naive_hedging.cancelling_stops_every_bill])
async def test_pitfall_18_the_naive_version_fails(mistake):
    with mistake():
        await caught_there(check_bill)


# --- 42 ---


async def check_blocked_loop() -> None:
    """Answers come after 0.1 s; this process is busy with something else for 0.35 s: nothing of that is the provider's."""
    with RawProvider((0.0, HEAD), (0.1, CONTENT), (0.0, END)) as raw:
        async with sidecar(raw.url) as (app, port):
            board, keeper = app.admission.board, app.admission.keepers()[0]
            for _ in range(2):
                await ask(port)
            for _ in range(3):
                asked = asyncio.create_task(ask(port))
                await asyncio.sleep(0.05)
                time.sleep(0.35)  # noqa: ASYNC251 # the mistake of somebody else in this process
                assert b"[DONE]" in await asked
                await asyncio.sleep(0.1)
            told = board.export(keeper.endpoint)["ttft"]["ms"]
            demand(told["p99"] < 200, f"the provider is said to take {told['p99']} ms, and took 100")
            demand(app.admission.view(keeper, app.clock.now_s()).in_flight == 0, "a flight never landed")


async def test_pitfall_42_blocked_loop():
    await check_blocked_loop()


async def test_pitfall_42_the_naive_version_fails():
    with naive.own_lateness_counts():
        await caught_there(check_blocked_loop)
