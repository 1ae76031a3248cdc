"""Which client a provider gets, and what a configuration may say wrong about it."""

import ssl
from pathlib import Path

import pytest
from config_support import SMALL, lines_of, only_line, parsed

from fastroute.config.advice import warnings_of
from fastroute.config.references import proxy_complaint
from fastroute.config.schema import Config, masked
from fastroute.core.ports import Transport
from fastroute.core.types import Endpoint, Profile
from fastroute.transport.aiohttp_client import AiohttpTransport
from fastroute.transport.choice import Transports

TWO = SMALL.replace("openai: {api_key: sk-test-1234567890}", "openai: {}\n  odd: {preset: openai, %s}")


def with_odd(text: str) -> Config:
    return parsed(TWO % text)


def endpoint(provider: str) -> Endpoint:
    return Endpoint(f"{provider}/m", provider, Profile("p", "openai_chat", "/x"), "http://h", "m")


def chosen(config: Config) -> tuple[Transports, Transport, Transport]:
    transports = Transports(config.providers)
    transports.prepare()
    return transports, transports.of(endpoint("openai")), transports.of(endpoint("odd"))


# --- the choice ---


@pytest.mark.parametrize("text", ["proxy: 'http://proxy:3128'", "tls: {}", "tls: {server_name: inner.example}"])
async def test_a_proxy_or_tls_of_its_own_takes_the_other_client(text: str) -> None:
    transports, usual, odd = chosen(with_odd(text))
    assert usual is transports.lean
    assert isinstance(odd, AiohttpTransport)
    assert transports.of(endpoint("odd")) is odd  # one for all of the provider's endpoints
    assert transports.of(endpoint("made on demand")) is transports.lean
    await transports.aclose()


@pytest.mark.parametrize("text", ["region: eu", 'proxy: "${NO_SUCH:-}"', "proxy: null, tls: null"])
async def test_everyone_else_takes_the_lean_one(text: str) -> None:
    transports, usual, odd = chosen(with_odd(text))
    assert usual is odd is transports.lean
    await transports.aclose()


# --- files that are not what they should be ---


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("ca_file: '{f}'", "providers.odd.tls.ca_file: not a file of certificates (PEM)"),
        ("client_cert: '{f}'", "providers.odd.tls.client_cert: not a certificate (PEM) with its private key"),
    ],
)
def test_files_of_something_else_stop_the_start(tmp_path: Path, keys: str, message: str) -> None:
    file = tmp_path / "x.pem"
    file.write_text("hello")
    transports = Transports(with_odd(f"tls: {{{keys.format(f=file)}}}").providers)
    with pytest.raises(ValueError, match=r"providers\.odd\.tls") as caught:
        transports.prepare()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", ["ca_file", "client_cert"])
def test_files_that_are_not_there(key: str) -> None:
    assert only_line(TWO % f"tls: {{{key}: /no/such/file.pem}}").endswith(f"providers.odd.tls.{key}: no such file")


def test_a_key_without_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("")
    line = only_line(TWO % f"tls: {{client_key: '{tmp_path / 'key.pem'}'}}")
    assert line.endswith("providers.odd.tls.client_key: needs 'client_cert'")


# --- proxies ---


@pytest.mark.parametrize("url", ["http://proxy", "http://proxy:3128/", "https://me:pw@proxy:443", "http://[::1]:3128"])
def test_proxies(url: str) -> None:
    assert proxy_complaint(url) is None
    assert lines_of(TWO % f"proxy: '{url}'") == []


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("socks5://proxy:1080", "must begin with http:// or https:// and a host"),
        ("proxy:3128", "must begin with http:// or https:// and a host"),
        ("http://", "must begin with http:// or https:// and a host"),
        ("http://proxy:99999", "not a URL"),
        ("http://proxy:0", "not a port"),
        ("http://[proxy", "not a URL"),
        ("http://proxy/path", "must end with the host or its port"),
        ("http://me:hunter2@proxy/?x=1", "must end with the host or its port"),
    ],
)
def test_what_is_no_proxy(url: str, complaint: str) -> None:
    line = only_line(TWO % f"proxy: '{url}'")
    assert line.endswith(f"providers.odd.proxy: {complaint}")
    assert "hunter2" not in line


def test_the_proxys_password_is_not_shown() -> None:
    config = with_odd("proxy: 'http://me:hunter2@proxy:3128'")
    assert masked(config)["providers"]["odd"]["proxy"] == "http://***@proxy:3128"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in repr(Transports(config.providers))


def test_unverified_tls_is_warned_of() -> None:
    config = with_odd("tls: {verify: false}")
    assert any(w.startswith("providers.odd.tls.verify: false") for w in warnings_of(config, {}))
    assert not any("tls" in w for w in warnings_of(with_odd("tls: {}"), {}))


def test_the_context_of_unverified_tls_is_that_and_no_more() -> None:
    _, _, odd = chosen(with_odd("tls: {verify: false}"))
    assert isinstance(odd, AiohttpTransport)
    assert odd._tls is not None
    assert (odd._tls.verify_mode, odd._tls.minimum_version >= ssl.TLSVersion.TLSv1_2) == (ssl.CERT_NONE, True)
