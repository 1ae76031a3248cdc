"""The running sidecar in front of a Bedrock of our own that checks every signature, over real sockets."""

import contextlib
import hashlib
import hmac
import json
import re
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fastroute.app import App
from fastroute.config.load import parse_config
from fastroute.dialects.aws_event_stream import encoded

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalr/secret+of:no:colons".replace(":", ""), "FwoGtoken=="
Json = dict[str, Any]


def frame(name: str, kind: str = "event", **members: Any) -> bytes:
    return encoded({f":{kind}-type": name, ":message-type": kind}, json.dumps({**members, "p": "abc"}).encode())


USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
FRAMES = [
    frame("messageStart", role="assistant"),
    frame("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hel"}),
    frame("contentBlockDelta", contentBlockIndex=0, delta={"text": "lo \u20ac"}),
    frame("contentBlockStop", contentBlockIndex=0),
    frame("messageStop", stopReason="end_turn"),
    frame("metadata", usage=USAGE, metrics={"latencyMs": 1}),
]
WHOLE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello €"}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 1},
}


def signature_of(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """What the signature must be, by AWS's rules and none of our code."""
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=\w{64}", headers["authorization"])
    assert found is not None
    key_id, date, region, service, last = found[1].split("/")
    assert (key_id, region, service, last) == (KEY_ID, "eu-west-1", "bedrock", "aws4_request")
    names = found[2].split(";")
    assert {"host", "content-type", "x-amz-date", "x-amz-security-token"} <= set(names)
    lines = [
        method,
        quote(path, safe="/~"),
        "",
        *(f"{n}:{headers[n]}" for n in names),
        "",
        found[2],
        hashlib.sha256(body).hexdigest(),
    ]
    asked = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = ("AWS4" + SECRET).encode()
    for step in (date, region, service, last):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{date}/{region}/{service}/{last}\n{asked}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Bedrock:
    """Answers `Hello €`, whole or in frames written byte by byte, to whoever signs or shows the key."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.frames = FRAMES
        self.failures: list[tuple[int, str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers, body = {k.lower(): v for k, v in request.headers.items()}, await request.read()
        self.paths.append(request.raw_path)
        if headers["authorization"].startswith("AWS4"):
            assert headers["x-amz-security-token"] == TOKEN
            good = headers["authorization"].endswith(signature_of(request.method, request.raw_path, headers, body))
        else:
            good = headers["authorization"] == "Bearer bedrock-key"
        if not good:
            return web.json_response({"message": "wrong"}, status=403, headers={"x-amzn-errortype": "InvalidSignatureException"})
        if self.failures:
            status, name, text = self.failures.pop(0)
            return web.json_response({"message": text}, status=status, headers={"x-amzn-errortype": f"{name}:http://x/"})
        if request.raw_path.endswith("/converse"):
            return web.json_response(WHOLE)
        reply = web.StreamResponse(headers={"content-type": "application/vnd.amazon.eventstream"})
        await reply.prepare(request)
        for data in self.frames:
            for i in range(0, len(data), 7):
                await reply.write(data[i : i + 7])
        await reply.write_eof()
        return reply


@asynccontextmanager
async def sidecar(signs: bool):
    """(upstream, URL of a sidecar in front of it)."""
    upstream, site = Bedrock(), web.Application()
    site.router.add_post("/{tail:.*}", upstream.answer)
    way = f'auth: sigv4, region: eu-west-1, api_key: "{KEY_ID}:{SECRET}:{TOKEN}"' if signs else "api_key: bedrock-key"
    async with TestServer(site) as server:
        text = f"""
version: 1
listen: {{port: 0, admin_port: 0}}
providers: {{bedrock: {{base_url: "http://127.0.0.1:{server.port}", {way}}}}}
endpoints: {{a: {{provider: bedrock, model: "{MODEL}"}}, b: {{provider: bedrock, model: "{MODEL}"}}}}
routes: {{auto: {{tiers: [[a, b]]}}}}
"""
        app = App(parse_config(text, env={}))
        port, _ = await app.start()
        try:
            yield upstream, f"http://127.0.0.1:{port}/v1/chat/completions"
        finally:
            await app.stop(drain_s=1.0)


async def ask(url: str, **members: Any) -> tuple[int, bytes]:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi €"}], **members}
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as reply:
        data = b""
        with contextlib.suppress(aiohttp.ClientPayloadError):  # a stream that fails does not end properly
            async for piece in reply.content.iter_any():
                data += piece
        return reply.status, data


def text_of(stream: bytes) -> str:
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))


@pytest.mark.parametrize("signs", [True, False])
async def test_whole_and_streamed(signs: bool) -> None:
    async with sidecar(signs) as (upstream, url):
        status, body = await ask(url)
        assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "Hello €"), body
        status, body = await ask(url, stream=True)
        assert (status, text_of(body)) == (200, "Hello €")
        assert body.endswith(b"data: [DONE]\n\n")
        quoted = "/model/" + MODEL.replace(":", "%3A")
        assert upstream.paths == [quoted + "/converse", quoted + "/converse-stream"]


async def test_every_attempt_is_signed_anew() -> None:
    async with sidecar(signs=True) as (upstream, url):
        upstream.failures = [(503, "ServiceUnavailableException", "busy")]
        status, body = await ask(url)
        assert (status, len(upstream.paths)) == (200, 2), body


async def test_errors_are_told() -> None:
    async with sidecar(signs=False) as (upstream, url):
        upstream.failures = [(400, "ValidationException", "Input is too long for requested model.")]
        status, body = await ask(url)
        assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded")


async def test_an_exception_in_the_stream_is_told_and_nothing_made_up() -> None:
    async with sidecar(signs=True) as (upstream, url):
        upstream.frames = [*FRAMES[:3], frame("modelStreamErrorException", "exception", message="the model broke")]
        status, body = await ask(url, stream=True)
        assert (status, text_of(body)) == (200, "Hello €")
        assert b"the model broke" in body
        assert b'"finish_reason":"' not in body


async def test_an_exception_before_content_is_tried_again() -> None:
    async with sidecar(signs=True) as (upstream, url):
        upstream.frames = [FRAMES[0], frame("serviceUnavailableException", "exception", message="busy")]
        status, _ = await ask(url, stream=True)
        assert status == 503
        assert len(upstream.paths) > 1
