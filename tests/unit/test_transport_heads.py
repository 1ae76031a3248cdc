import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import UpstreamRequest
from fastroute.transport.heads import parsed_head, request_head, split_url


def head_of(headers: tuple[tuple[str, str], ...], url: str = "http://h/v1/x", method: str = "POST") -> bytes:
    request = UpstreamRequest(url, headers, b"", method=method)
    return request_head(request, split_url(url)[0])


def test_a_head_ends_where_the_length_goes() -> None:
    assert head_of((("x-key", "1"),)) == (
        b"POST /v1/x HTTP/1.1\r\nhost: h\r\naccept-encoding: identity\r\nuser-agent: fastroute\r\nx-key: 1\r\ncontent-length: "
    )


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://h", b"POST / HTTP/1.1", b"h"),
        ("http://h:81/a%2Fb?c=d&e=", b"POST /a%2Fb?c=d&e= HTTP/1.1", b"h:81"),
        ("http://[::1]:81/a", b"POST /a HTTP/1.1", b"[::1]:81"),
        ("https://user:pw@h/a#part", b"POST /a HTTP/1.1", b"h"),
    ],
)
def test_targets_and_hosts(url: str, line: bytes, host: bytes) -> None:
    lines = head_of((), url).split(b"\r\n")
    assert lines[:2] == [line, b"host: " + host]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("http://h/", "h", 80), ("https://H/", "h", 443), ("https://h:8443", "h", 8443), ("http://[::1]", "::1", 80)],
)
def test_where_a_url_leads(url: str, host: str, port: int) -> None:
    parts, found = split_url(url)
    assert (parts.hostname, found) == (host, port)


@pytest.mark.parametrize("url", ["", "h/x", "ftp://h/x", "http://h/a b", "http://h/a\r\nx: y", "http://h/\u00e9", "http://h:0x/"])
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(FaultError) as caught:
        split_url(url)
    assert caught.value.fault.failure is Failure.CONNECT
    assert not url or url not in caught.value.fault.message


@pytest.mark.parametrize(
    "headers",
    [
        (("x", "a\r\nb: c"),),
        (("x", "a\nb"),),
        (("x", "a\0b"),),
        (("x\r\ny", "a"),),
        (("x y", "a"),),
        (("x:", "a"),),
        (("", "a"),),
        (("x", "snow \u2603"),),
    ],
)
def test_headers_that_would_break_the_head(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(FaultError) as caught:
        head_of(headers)
    assert caught.value.fault.failure is Failure.UNSUPPORTED


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\n"])
def test_methods_that_would_break_the_head(method: str) -> None:
    with pytest.raises(FaultError):
        head_of((), method=method)


def test_values_may_be_latin() -> None:
    assert b"x: caf\xe9\r\n" in head_of((("x", "caf\u00e9"),))


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_header_adds_a_line(name: str, value: str) -> None:
    try:
        head = head_of(((name, value),))
    except FaultError:
        return
    assert head.count(b"\r\n") <= 5
    assert b"\n" not in head.replace(b"\r\n", b"")


# --- replies ---


def test_names_are_lowered_and_the_last_value_wins() -> None:
    fields, size_bytes = parsed_head(b"HTTP/1.1 429 No\r\nRetry-After: 3\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
    assert fields == {"retry-after": "3", "x-a": "2"}
    assert size_bytes == len("Retry-After3X-A1x-a2")


def test_interim_replies_and_trailers_are_left_out_but_counted() -> None:
    interim, final = b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    fields, size_bytes = parsed_head(interim + final + b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert fields == {"transfer-encoding": "chunked"}
    assert size_bytes == len("Linka") + len("Transfer-Encodingchunked")


def test_what_follows_the_head_does_not_matter() -> None:
    fields, _ = parsed_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz not a chunk")
    assert fields == {"transfer-encoding": "chunked"}
    fields, _ = parsed_head(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 500 No\r\nX-B: 1\r\n\r\n")
    assert fields == {"content-length": "1"}
