"""Hedging as a user sees it: a real client, real sockets, a provider that falls silent."""

from e2e_support import provider, stack, until

ROUTE = "{endpoints: [cheap, dear], objective: {ttft_ms: 1000, total_ms: 5000}, deadline_ms: 10000}"
SPECS = {"cheap": provider(usd=1.0), "dear": provider(usd=2.0)}


async def warmed(s, n=200):
    """Enough good answers that both endpoints are known and the budgets hold something."""
    for i in range(n):
        await s.ask(stream=True, model="auto" if i % 3 else "dear")


async def test_a_silent_provider_is_hedged_and_told_to_stop():
    async with stack(SPECS, ROUTE) as s:
        await warmed(s)
        s.mocks.set_fault("cheap", "hang_before_headers")
        status, headers, body = await s.ask(stream=True, headers={"x-request-id": "late"})
        assert status == 200
        assert headers["x-fastroute-endpoint"] == "dear"
        assert b"[DONE]" in body
        await until(lambda: s.trails[-1].request.id == "late")
        trail = s.trails[-1].to_dict()
        assert [(a["endpoint"], a["role"], a["outcome"]) for a in trail["attempts"]] == [
            ("cheap", "primary", "superseded"),
            ("dear", "hedge", "ok"),
        ]
        assert trail["total_ms"] < 5000
        await until(lambda: s.sent("cheap")[-1]["cancelled"])  # it saw us leave


async def test_a_client_may_forbid_duplicates():
    async with stack(SPECS, ROUTE) as s:
        await warmed(s)
        s.mocks.set_fault("cheap", "hang_before_headers")
        await s.ask(stream=True, headers={"x-fastroute-hedge": "off", "x-request-id": "alone"})
        await until(lambda: s.trails[-1].request.id == "alone")
        assert "hedge" not in [a.role for a in s.trails[-1].attempts]


async def test_the_official_client_notices_nothing():
    async with stack(SPECS, ROUTE) as s:
        await warmed(s)
        s.mocks.set_fault("cheap", "role_then_silence")
        text = ""
        async with s.openai() as client:
            async for chunk in await client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": "Say something."}], stream=True
            ):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        assert text
        assert s.trails[-1].winner.endpoint == "dear"
