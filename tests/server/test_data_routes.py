"""The data port's table of paths: health, models, one request's Trail, and what is not there."""

from typing import Any

import pytest
from data_support import CHAT, FakeRouter, chat_bytes, serving, trail_for

from fastroute.core.types import ChatRequest
from fastroute.server.data import Views

MODELS = ({"id": "auto"}, {"id": "openai/gpt-4o", "created": 5, "owned_by": "openai"})


def views(ready: bool = True, **detail: Any) -> Views:
    trails = {"r1": trail_for(ChatRequest("r1", "openai_chat", "auto", {}, 1.0, 10))}
    return Views(models=lambda: MODELS, lookup=trails.get, ready=lambda: (ready, detail))


async def test_models_list() -> None:
    async with serving(FakeRouter(), views()) as client:
        for path in ("/v1/models", "/models"):
            response = await client.get(path)
            assert response.status == 200
            assert response.json() == {
                "object": "list",
                "data": [
                    {"object": "model", "created": 0, "owned_by": "fastroute", "id": "auto"},
                    {"object": "model", "created": 5, "owned_by": "openai", "id": "openai/gpt-4o"},
                ],
            }


@pytest.mark.parametrize("name", ["openai/gpt-4o", "openai%2Fgpt-4o", "openai%2fgpt%2d4o"])
async def test_one_model(name: str) -> None:
    async with serving(FakeRouter(), views()) as client:
        response = await client.get(f"/v1/models/{name}")
        assert response.status == 200
        assert response.json()["id"] == "openai/gpt-4o"


@pytest.mark.parametrize("name", ["gone", "", "%ff%00", "a" * 2000, "%0d%0aX-Evil:%201"])
async def test_unknown_model_is_a_404(name: str) -> None:
    async with serving(FakeRouter(), views()) as client:
        response = await client.get(f"/v1/models/{name}")
        assert response.status == 404
        assert response.error["code"] == "model_not_found"
        assert len(response.body) < 1000
        assert "x-evil" not in response.headers


async def test_one_requests_trail() -> None:
    async with serving(FakeRouter(), views()) as client:
        value = (await client.get("/v1/requests/r1")).json()
        assert value["id"] == "r1"
        assert value["attempts"][0]["endpoint"] == "flash"
        assert value["attempts"][0]["cost_usd"] == 1.5e-6


async def test_unknown_request_is_a_404() -> None:
    async with serving(FakeRouter(), views()) as client:
        assert (await client.get("/v1/requests/r2")).error["code"] == "request_not_found"


# --- health ---


@pytest.mark.parametrize("path", ["/health/live", "/health/liveliness", "/healthz"])
async def test_live_whatever_happens(path: str) -> None:
    async with serving(FakeRouter(), views(ready=False)) as client:
        assert (await client.get(path)).status == 200


@pytest.mark.parametrize("path", ["/health/ready", "/health/readiness", "/readyz"])
@pytest.mark.parametrize(("ready", "status", "word"), [(True, 200, "ready"), (False, 503, "not ready")])
async def test_ready_or_not(path: str, ready: bool, status: int, word: str) -> None:
    async with serving(FakeRouter(), views(ready, why="no endpoint")) as client:
        response = await client.get(path)
        assert response.status == status
        assert response.json() == {"status": word, "ready": ready, "why": "no endpoint"}


async def test_health_summary_is_readable_even_when_not_ready() -> None:
    async with serving(FakeRouter(), views(ready=False, endpoints=3)) as client:
        response = await client.get("/health")
        assert response.status == 200
        assert response.json() == {"status": "not ready", "ready": False, "endpoints": 3, "in_flight": 0}


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/v1/models"])
async def test_head_is_get_without_a_body(path: str) -> None:
    async with serving(FakeRouter(), views()) as client:
        response = await client.get(path, method="HEAD")
        assert response.status == 200
        assert int(response.headers["content-length"]) > 0
        wire = client.wires[0]
        await wire.send(chat_bytes())  # a body would now be in the way
        assert (await wire.response()).status == 200


# --- the rest ---


async def test_root_points_the_way() -> None:
    async with serving(FakeRouter(), views()) as client:
        value = (await client.get("/")).json()
        assert value["service"] == "fastroute"
        assert CHAT in value["paths"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1", "/v1/", "/v1/chat/completions/", "/V1/models", "/v1/../health", "/v1%2Fmodels", "//v1/models"]
)
async def test_unknown_path_is_a_404_in_shape(path: str) -> None:
    async with serving(FakeRouter()) as client:
        response = await client.get(path)
        assert response.status == 404
        assert response.error["code"] == "unknown_url"
        assert response.error["type"] == "invalid_request_error"
        assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/completions", "/embeddings"])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_later_apis_say_so(path: str, method: str) -> None:
    async with serving(FakeRouter()) as client:
        response = await client.get(path, "Content-Length: 0\r\n", method)
        assert response.status == 404
        assert response.error["code"] == "not_served"
        assert "not served by this version" in response.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/auto", "GET, HEAD"),
        ("PUT", "/health", "GET, HEAD"),
        ("TRACE", "/", "GET, HEAD"),
    ],
)
async def test_wrong_method_is_a_405_with_allow(method: str, path: str, allow: str) -> None:
    async with serving(FakeRouter()) as client:
        response = await client.get(path, "Content-Length: 0\r\n", method)
        assert response.status == 405
        assert response.headers["allow"] == allow
        assert response.error["code"] == "method_not_allowed"
        assert "access-control-allow-origin" not in response.headers


async def test_refusal_keeps_the_clients_id_and_the_connection() -> None:
    async with serving(FakeRouter()) as client:
        wire = await client.wire()
        for _ in range(2):
            await wire.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n\r\n")
            assert (await wire.response()).headers["x-request-id"] == "mine"


async def test_view_that_breaks_is_a_500_and_reported() -> None:
    def broken() -> tuple[bool, dict[str, Any]]:
        raise RuntimeError("boom")

    async with serving(FakeRouter(), Views(ready=broken)) as client:
        assert (await client.get("/readyz")).status == 500
        assert [str(e) for e in client.errors] == ["boom"]
