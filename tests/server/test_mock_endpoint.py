"""A mock endpoint over real sockets: keys, limits, models, refusals, determinism, the bill."""

import asyncio
import json

import pytest
from mock_support import INSTANT, Wire, ask, ask_anthropic, get, post, post_anthropic, running

USER = {"role": "user", "content": "hi"}


async def test_the_path_works_with_and_without_v1() -> None:
    async with running() as mocks:
        root = mocks.url("o").removesuffix("/v1")
        assert (await post(root, ask())).status == 200
        assert (await post(root + "/v1", ask())).status == 200


async def test_unknown_paths_and_methods_are_404_in_the_dialects_shape() -> None:
    async with running({"name": "o"}, {"name": "a", "dialect": "anthropic_messages"}) as mocks:
        openai = await post(mocks.url("o"), ask(), "/completions")
        assert (openai.status, openai.json()["error"]["type"]) == (404, "invalid_request_error")
        anthropic = await post_anthropic(mocks.url("a"), ask_anthropic(), "/v1/complete")
        assert (anthropic.status, anthropic.json()["error"]["type"]) == (404, "not_found_error")
        assert (await get(mocks.url("o"), "/chat/completions")).status == 404
        assert mocks.bill()["total_usd"] == 0


async def test_the_models_are_listed() -> None:
    async with running({"models": ["x", "y"]}) as mocks:
        reply = await get(mocks.url("o"), "/models")
        assert [m["id"] for m in reply.json()["data"]] == ["x", "y"]


async def test_token_counting() -> None:
    async with running({"name": "a", "dialect": "anthropic_messages"}) as mocks:
        reply = await post_anthropic(mocks.url("a"), {"model": "m", "messages": [USER]}, "/v1/messages/count_tokens")
        assert (reply.status, reply.json()) == (200, {"input_tokens": len("systemuserhi") // 4})
        bad = await post_anthropic(mocks.url("a"), {"model": "m"}, "/v1/messages/count_tokens")
        assert bad.status == 400


async def test_an_unknown_model_is_404() -> None:
    async with running({"models": ["x"]}) as mocks:
        reply = await post(mocks.url("o"), ask(model="z"))
        assert (reply.status, reply.json()["error"]["code"]) == (404, "model_not_found")
        assert "`z`" in reply.json()["error"]["message"]
        assert (await post(mocks.url("o"), ask(model="x"))).status == 200


async def test_a_wrong_key_is_401_everywhere() -> None:
    async with running({"api_key": "k"}) as mocks:
        for reply in (
            await post(mocks.url("o"), ask()),
            await post(mocks.url("o"), ask(), authorization="Bearer x"),
            await get(mocks.url("o"), "/models"),
        ):
            assert reply.status == 401
        assert (await post(mocks.url("o"), ask(), authorization="Bearer k")).status == 200


async def test_no_key_is_ever_shown() -> None:
    async with running({"api_key": "sk-very-secret"}) as mocks:
        reply = await post(mocks.url("o"), ask(), authorization="Bearer sk-other-secret")
        assert b"secret" not in reply.body
        assert "secret" not in json.dumps(mocks.requests())


async def test_bad_requests_are_refused_and_free() -> None:
    async with running() as mocks:
        reply = await post(mocks.url("o"), ask(max_output_tokens=3))
        assert (reply.status, reply.json()["error"]["type"]) == (400, "invalid_request_error")
        assert (await post(mocks.url("o"), b"{")).status == 400
        sums = mocks.bill()["by_endpoint"]["o"]
        assert (sums["requests"], sums["failed"], sums["usd"]) == (2, 2, 0.0)


async def test_a_lax_endpoint_takes_unknown_members() -> None:
    async with running({"strict": False}) as mocks:
        assert (await post(mocks.url("o"), ask(top_k=3))).status == 200


async def test_more_than_the_requests_per_minute_is_429_with_a_hint() -> None:
    async with running({"latency": INSTANT, "limits": {"requests_per_minute": 2}}) as mocks:
        statuses = [(await post(mocks.url("o"), ask())) for _ in range(3)]
        assert [r.status for r in statuses] == [200, 200, 429]
        assert 1 <= int(statuses[2].headers["retry-after"]) <= 60
        assert statuses[2].json()["error"]["code"] == "rate_limit_exceeded"


async def test_more_than_the_requests_in_flight_is_429() -> None:
    async with running({"latency": {"ttft_ms": 60_000}, "limits": {"max_in_flight": 1}}) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask())
            await mocks.until(lambda: bool(mocks.requests()))
            assert (await post(mocks.url("o"), ask())).status == 429
        await mocks.until(lambda: not mocks.requests()[0]["open"])


async def test_load_slows_down() -> None:
    spec = {"latency": {"ttft_ms": 20, "sigma": 0, "tpot_ms": 0, "knee_in_flight": 1, "slope_ratio": 1}}
    async with running(spec) as mocks:
        await asyncio.gather(*(post(mocks.url("o"), ask()) for _ in range(4)))
        waits = sorted(r["first_byte_ms"] for r in mocks.requests())
        for wait, least in zip(waits, (20, 40, 60, 80), strict=True):
            assert wait >= least - 1  # timers may be half a millisecond early


async def test_two_runs_of_one_seed_give_the_same_texts() -> None:
    texts = []
    for seed in (1, 1, 2):
        async with running({"latency": INSTANT}, seed=seed) as mocks:
            texts.append((await post(mocks.url("o"), ask(stream=True))).text)
    assert texts[0] == texts[1] != texts[2]


async def test_whole_and_streamed_say_the_same() -> None:
    async with running() as mocks:
        whole = await post(mocks.url("o"), ask())
        stream = await post(mocks.url("o"), ask(stream=True))
        assert whole.json()["choices"][0]["message"]["content"] == stream.text


async def test_the_first_token_takes_its_time_and_headers_may_come_before() -> None:
    async with running({"latency": {"ttft_ms": 400, "sigma": 0, "tpot_ms": 0, "headers_ms": 1}}) as mocks:
        async with Wire(mocks.url("o")) as wire:
            wire.send(ask(stream=True))
            await wire.head()
            assert b'"role":"assistant"' in await wire.chunk()
            assert mocks.requests()[0]["output_tokens"] == 0
            await wire._chunked(200, {})
        (request,) = mocks.requests()
        assert request["first_byte_ms"] < 300
        assert request["last_byte_ms"] >= 399


async def test_usage_bill_and_log_agree() -> None:
    async with running({"cached_input_ratio": 0.5}) as mocks:
        reply = await post(mocks.url("o"), ask(), x_request_id="r-1")
        usage, (request,) = reply.json()["usage"], mocks.requests()
        assert request["id"] == "r-1"
        assert (request["input_tokens"], request["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert request["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"] > 0
        expected = usage["prompt_tokens"] * 1_000_000 + usage["completion_tokens"] * 10_000_000
        assert mocks.bill()["total_pusd"] == expected
        assert mocks.bill()["by_endpoint"]["o"]["usd"] == request["usd"]


async def test_bodies_are_logged_only_when_asked() -> None:
    async with running() as mocks:
        await post(mocks.url("o"), ask())
        assert mocks.requests()[0]["body"] is None
    async with running(log_bodies=True) as mocks:
        await post(mocks.url("o"), ask())
        assert json.loads(mocks.requests()[0]["body"]) == ask()


@pytest.mark.parametrize("latency", [INSTANT, {"ttft_ms": 5, "sigma": 0, "tpot_ms": 1}])
async def test_a_canned_endpoint_answers_anything_and_bills_it(latency: dict[str, float]) -> None:
    async with running({"canned": True, "latency": latency}) as mocks, Wire(mocks.url("o")) as wire:
        wire.send(b"not json at all")
        whole = await wire.reply()
        wire.send(ask(stream=True))
        stream = await wire.reply()
        assert stream.text == whole.json()["choices"][0]["message"]["content"]
        assert stream.events[-1] == "[DONE]"
        sums = mocks.bill()["by_endpoint"]["o"]
        assert (sums["requests"], sums["input_tokens"], sums["output_tokens"]) == (2, 32, 16)


async def test_a_canned_endpoint_can_fail_too() -> None:
    async with running({"canned": True, "latency": INSTANT}) as mocks:
        mocks.set_fault("o", "status", status=503)
        assert (await post(mocks.url("o"), ask())).status == 503
        mocks.clear_faults()
        assert (await post(mocks.url("o"), ask())).status == 200


async def test_a_canned_answer_closes_when_asked_to() -> None:
    async with running({"canned": True, "latency": INSTANT}) as mocks, Wire(mocks.url("o")) as wire:
        wire.send(ask(), connection="close")
        assert (await wire.reply()).status == 200
        assert await wire.reader.read() == b""


async def test_a_large_body_is_taken() -> None:
    async with running({"latency": INSTANT}) as mocks:
        reply = await post(mocks.url("o"), ask(messages=[{"role": "user", "content": "word " * 1_000_000}]))
        assert reply.json()["usage"]["prompt_tokens"] > 1_000_000
