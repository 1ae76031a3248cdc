"""Gemini clients of the running sidecar over every kind of upstream, and its Gemini upstreams. Google's SDK where installed."""

import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from e2e_support import provider, stack

from fastroute.app import App
from fastroute.config.load import parse_config

ROUTE = "{tiers: [[a]]}"
BOTH = pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
HELLO = {"contents": [{"parts": [{"text": "Hi"}]}]}
TOOLS = [
    {
        "functionDeclarations": [
            {
                "name": name,
                "description": f"{name} of a city",
                "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
            }
            for name in ("weather", "local_time")
        ]
    }
]
Json = dict[str, Any]


def chunk(text: str, **members: Any) -> Json:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **members}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 4, "totalTokenCount": 9}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x", "responseId": "r"}


class Upstream:
    """A Gemini of our own: says "Hello there" in two chunks, or fails as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Json]] = []
        self.failure: tuple[int, Json] | None = None
        self.chunks = [chunk("Hello"), chunk(" there", finishReason="STOP")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, {k.lower(): v for k, v in request.headers.items()}, await request.json()))
        if self.failure is not None:
            return web.json_response(self.failure[1], status=self.failure[0])
        if "alt" not in request.query:
            return web.json_response(chunk("Hello there", finishReason="STOP"))
        body = b"".join(b"data: " + json.dumps(c).encode() + b"\r\n\r\n" for c in self.chunks)
        return web.Response(body=body, content_type="text/event-stream")


@asynccontextmanager
async def gemini_upstream():
    """(upstream, URL of a sidecar in front of it)."""
    upstream, site = Upstream(), web.Application()
    site.router.add_post("/{tail:.*}", upstream.answer)
    async with TestServer(site) as server:
        text = f"""
version: 1
listen: {{port: 0, admin_port: 0}}
providers: {{g: {{preset: gemini-compatible, base_url: "http://127.0.0.1:{server.port}", api_key: secret}}}}
endpoints: {{a: {{provider: g, model: gemini-3.8-flash}}}}
routes: {{auto: {{tiers: [[a]]}}}}
"""
        app = App(parse_config(text, env={}))
        port, _ = await app.start()
        try:
            yield upstream, f"http://127.0.0.1:{port}"
        finally:
            await app.stop(drain_s=1.0)


async def post(http: Any, url: str, body: Json) -> tuple[int, str, bytes]:
    async with http.post(url, json=body, headers={"x-goog-api-key": "mine"}) as reply:
        return reply.status, reply.headers["content-type"].partition(";")[0], await reply.read()


def texts(chunks: list[Json]) -> str:
    parts = [p for c in chunks for candidate in c.get("candidates", []) for p in candidate["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


def events(body: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in body.split(b"\r\n") if line.startswith(b"data: ")]


@BOTH
async def test_whole_event_stream_and_array(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s:
        at = f"{s.url}/v1beta/models/auto:"
        status, kind, body = await post(s.http, at + "generateContent", HELLO)
        whole = json.loads(body)
        assert (status, kind, whole["candidates"][0]["finishReason"]) == (200, "application/json", "STOP")
        assert texts([whole])
        status, kind, body = await post(s.http, at + "streamGenerateContent?alt=sse", HELLO)
        streamed = events(body)
        assert (status, kind) == (200, "text/event-stream")
        assert [c["candidates"][0].get("finishReason") for c in streamed] == [None] * (len(streamed) - 1) + ["STOP"]
        usage = streamed[-1]["usageMetadata"]
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
        status, kind, body = await post(s.http, at + "streamGenerateContent", HELLO)
        assert (status, kind) == (200, "application/json")
        assert texts(json.loads(body))
        assert len(json.loads(body)) > 2


@BOTH
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent?alt=sse"])
async def test_parallel_calls_and_their_results(dialect: str, method: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s:
        at = f"{s.url}/v1beta/models/auto:{method}"
        system = {"parts": [{"text": "Be brief."}]}
        asked: Json = {"contents": [{"role": "user", "parts": [{"text": "Weather and time in Oslo?"}]}], "tools": TOOLS}
        asked["systemInstruction"] = system
        _, _, body = await post(s.http, at, asked)
        chunks = events(body) if "alt" in method else [json.loads(body)]
        parts = [p for c in chunks for p in c["candidates"][0]["content"]["parts"] if "functionCall" in p]
        assert [part["functionCall"]["name"] for part in parts] == ["weather", "local_time"]
        assert all("city" in part["functionCall"]["args"] for part in parts)
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        for part in parts:
            del part["functionCall"]["id"]  # older clients know no ids
        answers = [
            {"functionResponse": {"name": p["functionCall"]["name"], "response": {"result": f"result of {i}"}}}
            for i, p in enumerate(parts)
        ]
        asked["contents"] += [{"role": "model", "parts": parts}, {"role": "user", "parts": answers}]
        _, _, body = await post(s.http, at, asked)
        chunks = events(body) if "alt" in method else [json.loads(body)]
        assert "result of 0" in texts(chunks)


@BOTH
async def test_errors_have_googles_shape(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s:
        status, _, body = await post(s.http, f"{s.url}/v1beta/models/nope:generateContent", HELLO)
        assert (status, json.loads(body)["error"]["status"]) == (404, "NOT_FOUND")
        status, _, body = await post(s.http, f"{s.url}/v1beta/models/auto:generateContent", {})
        assert (status, json.loads(body)["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert "contents" in json.loads(body)["error"]["message"]
        s.mocks.set_fault("a", "status", status=400, message="max_tokens is too large")
        status, _, body = await post(s.http, f"{s.url}/v1beta/models/auto:generateContent", HELLO)
        assert (status, json.loads(body)["error"]["code"]) == (400, 400)
        assert "max_tokens is too large" in json.loads(body)["error"]["message"]


@BOTH
async def test_a_stream_that_breaks_ends_with_an_error_chunk(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s:
        s.mocks.set_fault("a", "clean_cut", after_chunks=4)
        import aiohttp

        async with s.http.post(f"{s.url}/v1beta/models/auto:streamGenerateContent?alt=sse", json=HELLO) as reply:
            got = b""
            with pytest.raises(aiohttp.ClientPayloadError):
                async for piece in reply.content.iter_any():
                    got += piece
        assert events(got)[-1]["error"]["code"] == 503
        assert all("finishReason" not in json.dumps(c) for c in events(got))


async def test_unknown_methods_are_not_there() -> None:
    async with stack({"a": provider()}, ROUTE) as s:
        for path in ("/v1beta/models/auto:countTokens", "/v1beta/models/:generateContent", "/v1beta/models/auto"):
            status, _, _ = await post(s.http, s.url + path, HELLO)
            assert status == 404
        async with s.http.get(f"{s.url}/v1beta/models/auto:generateContent") as reply:
            assert reply.status == 405


# --- Gemini upstream --------------------------------------------------------------------------------------------------


async def test_gemini_to_gemini_is_the_providers_own_words() -> None:
    import aiohttp

    async with gemini_upstream() as (upstream, url), aiohttp.ClientSession() as http:
        asked = {**HELLO, "safetySettings": [], "generation_config": {"topK": 3}}
        status, _, body = await post(http, f"{url}/v1beta/models/auto:streamGenerateContent?alt=sse", asked)
        assert (status, events(body)) == (200, upstream.chunks)
        path, headers, sent = upstream.requests[-1]
        assert path == "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
        assert headers["x-goog-api-key"] == "secret", "the client's key is for us, not for the provider"
        assert sent == {**HELLO, "safetySettings": [], "generationConfig": {"topK": 3}}
        _, _, body = await post(http, f"{url}/v1beta/models/auto:streamGenerateContent", asked)
        assert json.loads(body) == upstream.chunks
        _, _, body = await post(http, f"{url}/v1beta/models/auto:generateContent", asked)
        assert json.loads(body) == chunk("Hello there", finishReason="STOP")


async def test_gemini_upstream_for_openais_client() -> None:
    import openai

    async with gemini_upstream() as (_, url), openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        whole = await client.chat.completions.create(model="auto", messages=messages)
        assert whole.choices[0].message.content == "Hello there"
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (3, 6, 9)
        stream = await client.chat.completions.create(model="auto", messages=messages, stream=True)
        assert "".join([c.choices[0].delta.content or "" async for c in stream]) == "Hello there"


async def test_a_minutes_limit_tells_when_to_come_back() -> None:
    import aiohttp

    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    async with gemini_upstream() as (upstream, url), aiohttp.ClientSession() as http:
        upstream.failure = 429, {"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}}
        async with http.post(f"{url}/v1beta/models/auto:generateContent", json=HELLO) as reply:
            error = (await reply.json())["error"]
            assert (reply.status, error["code"], error["status"]) == (503, 503, "UNAVAILABLE")
            assert float(reply.headers["retry-after-ms"]) > 0


# --- Google's own client ------------------------------------------------------------------------------------------------


GOOGLES = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")


@asynccontextmanager
async def genai_client(url: str):
    """Google's client, with nothing changed but the base URL."""
    genai = pytest.importorskip("google.genai", reason="google-genai is not installed")
    client = genai.Client(api_key="unused", http_options={"base_url": url})
    yield client
    await client.aio.aclose()


@GOOGLES
@BOTH
async def test_googles_client(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, genai_client(s.url) as client:
        reply = await client.aio.models.generate_content(model="auto", contents="Hi")
        assert reply.text
        assert reply.usage_metadata.total_token_count > 0
        pieces = [c async for c in await client.aio.models.generate_content_stream(model="auto", contents="Hi")]
        assert len(pieces) > 2
        assert "".join(piece.text or "" for piece in pieces)
        assert pieces[-1].candidates[0].finish_reason.name == "STOP"


@GOOGLES
@BOTH
async def test_googles_client_calls_tools(dialect: str) -> None:
    async with stack({"a": provider(dialect)}, ROUTE) as s, genai_client(s.url) as client:
        from google.genai import types

        config = types.GenerateContentConfig(tools=[types.Tool(**tool) for tool in TOOLS], system_instruction="Be brief.")
        user = types.Content(role="user", parts=[types.Part(text="Weather and time in Oslo?")])
        reply = await client.aio.models.generate_content(model="auto", contents=[user], config=config)
        assert [call.name for call in reply.function_calls] == ["weather", "local_time"]
        answers = [
            types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"output": "snow"}))
            for c in reply.function_calls
        ]
        contents = [user, reply.candidates[0].content, types.Content(role="user", parts=answers)]
        assert "snow" in (await client.aio.models.generate_content(model="auto", contents=contents, config=config)).text


@GOOGLES
async def test_googles_client_sees_errors() -> None:
    async with stack({"a": provider()}, ROUTE) as s, genai_client(s.url) as client:
        from google.genai import errors

        with pytest.raises(errors.ClientError, match="nope") as caught:
            await client.aio.models.generate_content(model="nope", contents="Hi")
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@GOOGLES
async def test_googles_client_over_gemini() -> None:
    async with gemini_upstream() as (_, url), genai_client(url) as client:
        pieces = [c.text async for c in await client.aio.models.generate_content_stream(model="auto", contents="Hi")]
        assert pieces == ["Hello", " there"]
