"""The control port of the mock provider."""

import json
from typing import Any

import pytest
from mock_support import Reply, ask, get, post, running

TWO = ({"name": "o"}, {"name": "p"})


async def call(url: str, path: str, method: str = "GET", body: Any = b"") -> Reply:
    return await get(url, f"/__mock/{path}", method, body)


async def test_the_bill() -> None:
    async with running(*TWO) as mocks:
        await post(mocks.url("o"), ask())
        bill = (await call(mocks.control_url, "bill")).json()
        assert bill == json.loads(json.dumps(mocks.bill()))
        assert bill["total_usd"] == bill["by_endpoint"]["o"]["usd"] > 0
        wanted = {"requests", "usd", "input_tokens", "output_tokens", "cancelled", "tokens_after_cancel"}
        assert wanted <= set(bill["by_endpoint"]["p"])


async def test_the_latest_requests() -> None:
    async with running() as mocks:
        for i in range(3):
            await post(mocks.url("o"), ask(), x_request_id=f"r{i}")
        requests = (await call(mocks.control_url, "requests?last=2")).json()["requests"]
        assert [r["id"] for r in requests] == ["r1", "r2"]
        assert len((await call(mocks.control_url, "requests")).json()["requests"]) == 3
        assert (await call(mocks.control_url, "requests?last=two")).status == 400


async def test_a_fault_is_set_shown_and_cleared() -> None:
    async with running(*TWO) as mocks:
        control = mocks.control_url
        reply = await call(control, "faults", "POST", {"endpoint": "o", "fault": "status", "status": 503, "for_s": 60})
        assert (reply.status, reply.json()["set"], reply.json()["status"]) == (200, ["o"], 503)
        assert (await post(mocks.url("o"), ask())).status == 503
        assert (await post(mocks.url("p"), ask())).status == 200
        (shown,) = (await call(control, "faults")).json()["faults"]
        assert (shown["endpoint"], shown["fault"], shown["active"]) == ("o", "status", True)
        assert 0 < shown["ends_in_s"] <= 60
        assert (await call(control, "faults", "DELETE")).json() == {"cleared": 1}
        assert (await post(mocks.url("o"), ask())).status == 200


async def test_a_fault_for_later_is_not_yet_active() -> None:
    async with running() as mocks:
        await call(mocks.control_url, "faults", "POST", {"endpoint": "o", "fault": "status", "at_s": 60})
        assert (await post(mocks.url("o"), ask())).status == 200
        (shown,) = (await call(mocks.control_url, "faults")).json()["faults"]
        assert not shown["active"]


async def test_refusing_by_control_call() -> None:
    async with running() as mocks:
        await call(mocks.control_url, "faults", "POST", {"endpoint": "o", "fault": "refuse"})
        with pytest.raises(ConnectionRefusedError):
            await post(mocks.url("o"), ask())
        await call(mocks.control_url, "faults?endpoint=o&fault=refuse", "DELETE")
        assert (await post(mocks.url("o"), ask())).status == 200


async def test_clearing_only_what_is_named() -> None:
    async with running(*TWO) as mocks:
        control = mocks.control_url
        for endpoint, fault in (("o", "gzip"), ("o", "brownout"), ("p", "gzip")):
            await call(control, "faults", "POST", {"endpoint": endpoint, "fault": fault})
        assert (await call(control, "faults?endpoint=o&fault=gzip", "DELETE")).json() == {"cleared": 1}
        assert (await call(control, "faults", "DELETE", {"endpoint": "p"})).json() == {"cleared": 1}
        assert [f["fault"] for f in (await call(control, "faults")).json()["faults"]] == ["brownout"]


async def test_a_fault_on_all_endpoints() -> None:
    async with running(*TWO) as mocks:
        reply = await call(mocks.control_url, "faults", "POST", {"endpoint": "*", "fault": "html_200"})
        assert reply.json()["set"] == ["o", "p"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"no json", 400, "JSON object"),
        ([], 400, "JSON object"),
        ({"fault": "status"}, 404, "no endpoint"),
        ({"endpoint": "x", "fault": "status"}, 404, "there are: o"),
        ({"endpoint": "o"}, 400, "fault"),
        ({"endpoint": "o", "fault": "explode"}, 400, "explode"),
        ({"endpoint": "o", "fault": "status", "ratio": 2}, 400, "$.ratio"),
        ({"endpoint": "o", "fault": "status", "colour": 2}, 400, "colour"),
    ],
)
async def test_bad_calls_are_told_why(body: Any, status: int, told: str) -> None:
    async with running() as mocks:
        reply = await call(mocks.control_url, "faults", "POST", body)
        assert reply.status == status
        assert told in reply.json()["error"]["message"]
        assert mocks.faults("o") == []


async def test_clearing_an_unknown_kind_is_told() -> None:
    async with running() as mocks:
        reply = await call(mocks.control_url, "faults?fault=explode", "DELETE")
        assert reply.status == 400
        assert "brownout" in reply.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/__mock/nothing", "/bill", "/"])
async def test_unknown_calls_list_the_known(path: str) -> None:
    async with running() as mocks:
        reply = await get(mocks.control_url, path)
        assert reply.status == 404
        assert "GET /__mock/bill" in reply.json()["error"]["message"]


async def test_health() -> None:
    async with running(*TWO) as mocks:
        health = (await call(mocks.control_url, "health")).json()
        assert health == {"status": "ok", "in_flight": {"o": 0, "p": 0}}
