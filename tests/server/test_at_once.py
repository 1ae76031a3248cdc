"""Paths answered from the body alone: the same limits, and errors in the shape of their API."""

import json
from typing import Any

from data_support import FakeRouter, serving

from fastroute.dialects.messages_api import MessagesApi
from fastroute.server.body import BodyLimits
from fastroute.server.data import DataSettings

PATH = "/v1/messages/count_tokens"
HELLO = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}).encode()


async def posted(client: Any, body: bytes, path: str = PATH) -> Any:
    api = MessagesApi(counts=True)
    client.port.answer_at(PATH, api, api.counted)
    wire = await client.wire()
    await wire.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return await wire.response()


async def test_answers_come_without_the_router() -> None:
    router = FakeRouter()
    async with serving(router) as client:
        for path in (PATH, PATH.removeprefix("/v1")):
            response = await posted(client, HELLO, path)
            assert response.status == 200
            assert json.loads(response.body)["input_tokens"] > 0
            assert len(response.headers["x-request-id"]) == 32
        assert not router.requests
        assert client.port._bodies.held_bytes == 0


async def test_refusals_have_the_apis_shape() -> None:
    async with serving(FakeRouter(), settings=DataSettings(body=BodyLimits(max_bytes=100))) as client:
        response = await posted(client, b'{"model": "auto"}')
        assert (response.status, json.loads(response.body)["type"]) == (400, "error")
        assert "messages" in json.loads(response.body)["error"]["message"]
        response = await posted(client, HELLO + b" " * 100)
        assert (response.status, json.loads(response.body)["error"]["type"]) == (413, "request_too_large")
        assert client.port._bodies.held_bytes == 0
