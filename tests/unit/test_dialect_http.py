"""URL and headers of an endpoint, for every dialect."""

import pytest

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Endpoint, Profile
from fastroute.dialects._http import MAX_KEPT, PerEndpoint, auth_headers, checked_headers, endpoint_url


def endpoint(
    path: str = "/v1/chat", auth: str = "bearer", key: str | None = "k", query: tuple[tuple[str, str], ...] = ()
) -> Endpoint:
    return Endpoint("e", "p", Profile("n", "d", path, auth=auth), "http://x", "org/model:1", key=key, query=query)


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/v1/chat", (), "http://x/v1/chat"),
        ("/m/{model}/chat", (), "http://x/m/org%2Fmodel%3A1/chat"),
        ("/d/{deployment}", (("api-version", "1 2"),), "http://x/d/org%2Fmodel%3A1?api-version=1+2"),
        ("/v1?beta=true", (("a", "b"),), "http://x/v1?beta=true&a=b"),
    ],
)
def test_url(path: str, query: tuple[tuple[str, str], ...], url: str) -> None:
    assert endpoint_url(endpoint(path, query=query)) == url


@pytest.mark.parametrize(
    ("auth", "key", "headers"),
    [
        ("bearer", "k", {"authorization": "Bearer k"}),
        ("x-api-key", " k\r\n", {"x-api-key": "k"}),
        ("none", "k", {}),
        ("bearer", None, {}),
        ("bearer", "\n", {}),
    ],
)
def test_auth(auth: str, key: str | None, headers: dict[str, str]) -> None:
    assert auth_headers(endpoint(auth=auth, key=key)) == headers


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x7fb", "日本"])
def test_headers_that_would_break_the_request_are_refused(value: str) -> None:
    with pytest.raises(FaultError) as caught:
        checked_headers({"x-own": value})
    assert caught.value.fault.failure is Failure.AUTH
    assert value not in caught.value.fault.message
    with pytest.raises(FaultError):
        checked_headers({value: "x"})


def test_proper_headers_pass_in_order() -> None:
    headers = {"b": "tab\tand space", "a": "ü"}
    assert checked_headers(headers) == (("b", "tab\tand space"), ("a", "ü"))


def test_what_depends_on_the_endpoint_is_made_once() -> None:
    made: list[Endpoint] = []

    def build(one: Endpoint) -> str | None:
        made.append(one)
        return one.key

    per_endpoint = PerEndpoint(build)
    first, same_value = endpoint(), endpoint()
    assert [per_endpoint.of(one) for one in (first, same_value, first, endpoint(key="other"))] == ["k", "k", "k", "other"]
    assert [one is first for one in made] == [True, False, False], "known by identity, not by value"


def test_endpoints_come_and_go_without_end() -> None:
    per_endpoint = PerEndpoint(lambda one: one.key)
    for i in range(2 * MAX_KEPT + 10):
        assert per_endpoint.of(endpoint(key=str(i))) == str(i)
    assert len(per_endpoint) <= MAX_KEPT


def test_what_cannot_be_made_is_refused_every_time() -> None:
    per_endpoint = PerEndpoint(lambda one: checked_headers({"x": one.key or ""}))
    broken = endpoint(key="a\nb")
    for _ in range(2):
        with pytest.raises(FaultError):
            per_endpoint.of(broken)
