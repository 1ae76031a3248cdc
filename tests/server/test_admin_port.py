"""The admin port: what it shows, whom it answers, where it refuses to listen."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from data_support import Client, Response

from fastroute.server.admin import AdminCalls, AdminPort, is_loopback


class Backstage:
    """What stands behind the port, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.endpoints = {"flash": True, "openai/gpt-4o": True}

    def switch(self, name: str, enabled: bool) -> bool:
        if name not in self.endpoints:
            return False
        self.endpoints[name] = enabled
        return True

    def metrics(self, accept: str | None) -> tuple[bytes, str]:
        self.asked.append(accept)
        return b"fastroute_up 1\n", "application/openmetrics-text" if accept else "text/plain; version=0.0.4; charset=utf-8"

    def requests(self, last: int) -> list[dict[str, Any]]:
        self.asked.append(last)
        return [{"id": "r1"}]

    def calls(self) -> AdminCalls:
        return AdminCalls(
            metrics=self.metrics,
            endpoints=lambda: [{"endpoint": name} for name in self.endpoints],
            requests=self.requests,
            config=lambda: {"providers": {"openai": {"api_key": "***"}}},
            drain=lambda: self.asked.append("drain"),
            switch=self.switch,
        )


@contextlib.asynccontextmanager
async def admin(backstage: Backstage | None = None, token: str | None = None, host: str = "127.0.0.1") -> AsyncIterator[Client]:
    port = AdminPort((backstage or Backstage()).calls(), token)
    number = await port.start(host, 0)
    client = Client(number, port, [])
    try:
        yield client
    finally:
        await client.aclose()
        await port.stop()
        await port.stop()


async def ask(client: Client, path: str, method: str = "GET", host: str = "127.0.0.1", headers: str = "") -> Response:
    wire = await client.wire()
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    await wire.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{headers}\r\n".encode())
    return await wire.response(head=method == "HEAD")


# --- what it shows ---


async def test_metrics() -> None:
    async with admin() as client:
        response = await ask(client, "/metrics")
        assert response.body == b"fastroute_up 1\n"
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert response.headers["vary"] == "accept"


@pytest.mark.parametrize(
    ("headers", "accept"),
    [
        ("", None),
        ("Accept:\r\n", None),
        ("Accept: application/openmetrics-text\r\n", "application/openmetrics-text"),
        ("Accept: text/plain\r\nAccept: */*;q=0.1\r\n", "text/plain, */*;q=0.1"),
    ],
)
async def test_metrics_come_in_the_format_asked_for(headers: str, accept: str | None) -> None:
    backstage = Backstage()
    async with admin(backstage) as client:
        response = await ask(client, "/metrics", headers=headers)
        assert backstage.asked == [accept]
        assert response.headers["content-type"].startswith("application/openmetrics-text" if accept else "text/plain")


async def test_endpoints_and_config() -> None:
    async with admin() as client:
        assert (await ask(client, "/api/endpoints")).json() == [{"endpoint": "flash"}, {"endpoint": "openai/gpt-4o"}]
        assert (await ask(client, "/api/config")).json() == {"providers": {"openai": {"api_key": "***"}}}


async def test_latest_requests() -> None:
    backstage = Backstage()
    async with admin(backstage) as client:
        assert (await ask(client, "/api/requests?last=5")).json() == [{"id": "r1"}]
        await ask(client, "/api/requests")
        assert backstage.asked == [5, 100]


@pytest.mark.parametrize("last", ["0", "-1", "1001", "x", "", "1e3", "%D9%A1", "9999999999"])
async def test_bad_last_is_a_400(last: str) -> None:
    async with admin() as client:
        response = await ask(client, f"/api/requests?last={last}")
        assert response.status == 400
        assert response.error["param"] == "last"


async def test_index_is_a_page_without_scripts() -> None:
    async with admin() as client:
        response = await ask(client, "/")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        page = response.body.decode()
        assert all(path in page for path in ("/metrics", "/api/endpoints", "/api/requests", "/api/config"))
        assert "<script" not in page
        assert "http://" not in page


async def test_health_and_head() -> None:
    async with admin() as client:
        assert (await ask(client, "/health")).status == 200
        assert (await ask(client, "/metrics", "HEAD")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/api/endpoints", 405),
        ("POST", "/api/endpoints/flash", 404),
        ("POST", "/api/endpoints//disable", 404),
        ("POST", "/api/endpoints/flash/explode", 404),
    ],
)
async def test_what_is_not_there(method: str, path: str, status: int) -> None:
    async with admin() as client:
        response = await ask(client, path, method)
        assert response.status == status
        assert response.error["message"]


async def test_call_that_breaks_is_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise RuntimeError("sk-secret")

    port = AdminPort(AdminCalls(endpoints=broken))
    client = Client(await port.start("127.0.0.1", 0), port, [])
    response = await ask(client, "/api/endpoints")
    assert response.status == 500
    assert b"secret" not in response.body
    assert response.error["code"] == "internal_error"
    assert "failed unexpectedly" in caplog.text
    await client.aclose()
    await port.stop()


# --- what it does ---


async def test_drain() -> None:
    backstage = Backstage()
    async with admin(backstage) as client:
        assert (await ask(client, "/api/drain")).status == 404  # a GET does nothing
        assert (await ask(client, "/api/drain", "POST")).status == 202
        assert backstage.asked == ["drain"]


async def test_endpoints_are_switched() -> None:
    backstage = Backstage()
    async with admin(backstage) as client:
        response = await ask(client, "/api/endpoints/flash/disable", "POST")
        assert response.json() == {"endpoint": "flash", "enabled": False}
        assert (await ask(client, "/api/endpoints/openai%2Fgpt-4o/disable", "POST")).status == 200
        assert backstage.endpoints == {"flash": False, "openai/gpt-4o": False}
        assert (await ask(client, "/api/endpoints/flash/enable", "POST")).status == 200
        assert backstage.endpoints["flash"] is True


async def test_unknown_endpoint_is_a_404() -> None:
    async with admin() as client:
        assert (await ask(client, "/api/endpoints/gone/disable", "POST")).error["code"] == "endpoint_not_found"


# --- where it listens ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "example.com", "192.168.0.1"])
@pytest.mark.parametrize("token", [None, ""])
async def test_refuses_to_be_open_to_others(host: str, token: str | None) -> None:
    with pytest.raises(ValueError, match="refuses to listen"):
        await AdminPort(AdminCalls(), token).start(host, 0)


async def test_listens_to_others_with_a_token() -> None:
    async with admin(token="t0ken", host="0.0.0.0") as client:
        assert (await ask(client, "/metrics", host="router.internal:4001")).status == 401
        assert (await ask(client, "/metrics", host="router.internal", headers="Authorization: Bearer t0ken\r\n")).status == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- whom it answers ---


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4001", "localhost:4001", "[::1]:4001", "LocalHost"])
async def test_loopback_names_are_answered(host: str) -> None:
    async with admin() as client:
        assert (await ask(client, "/api/config", host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4001", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]:1", "x:127.0.0.1"]
)
async def test_rebound_names_are_not_answered(host: str) -> None:
    async with admin() as client:
        response = await ask(client, "/api/config", host=host)
        assert response.status == 403
        assert b"***" not in response.body


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9", "http://localhost"])
async def test_other_pages_cannot_drain(origin: str) -> None:
    backstage = Backstage()
    async with admin(backstage) as client:
        response = await ask(client, "/api/drain", "POST", host="127.0.0.1:4001", headers=f"Origin: {origin}\r\n")
        assert response.status == 403
        assert backstage.asked == []


async def test_its_own_page_can() -> None:
    async with admin() as client:
        headers = "Origin: http://127.0.0.1:4001\r\n"
        assert (await ask(client, "/api/drain", "POST", host="127.0.0.1:4001", headers=headers)).status == 202


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/endpoints", "/api/config", "/api/requests", "/nowhere"])
async def test_token_is_needed_for_everything_where_there_is_one(path: str) -> None:
    async with admin(token="t0ken") as client:
        response = await ask(client, path)
        assert response.status == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert b"t0ken" not in response.body


@pytest.mark.parametrize(
    ("query", "header", "status"),
    [
        ("", "Bearer t0ken", 200),
        ("", "bearer  t0ken ", 200),
        ("?token=t0ken", None, 200),
        ("?token=wrong", None, 401),
        ("?token=", None, 401),
        ("", "Bearer wrong", 401),
        ("", "Bearer t0ke", 401),
        ("", "Bearer", 401),
        ("", "Basic dDBrZW4=", 401),
        ("?token=t0ken", "Bearer wrong", 401),
        ("", "Bearer caf\u00e9", 401),
    ],
)
async def test_token(query: str, header: str | None, status: int) -> None:
    async with admin(token="t0ken") as client:
        headers = f"Authorization: {header}\r\n" if header else ""
        assert (await ask(client, "/metrics" + query, headers=headers)).status == status


async def test_probe_needs_no_token() -> None:
    async with admin(token="t0ken") as client:
        assert (await ask(client, "/health")).status == 200


async def test_posts_need_the_token() -> None:
    backstage = Backstage()
    async with admin(backstage, token="t0ken") as client:
        assert (await ask(client, "/api/drain", "POST")).status == 401
        assert (await ask(client, "/api/endpoints/flash/disable", "POST")).status == 401
        assert backstage.asked == []
        assert backstage.endpoints["flash"] is True


async def test_links_carry_the_token_that_opened_the_page() -> None:
    async with admin(token="t0 'k<en") as client:
        page = (await ask(client, "/?token=t0%20%27k%3Cen")).body.decode()
        assert "href='/metrics?token=t0%20%27k%3Cen'" in page
