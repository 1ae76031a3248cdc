"""What a provider's `tls` section may say, against real handshakes."""

from pathlib import Path

import pytest
from transport_support import fetch_or_failure, make_certificate, tls_provider

from fastroute.config.schema import Provider, Tls
from fastroute.core.failures import Failure
from fastroute.core.types import Endpoint, Profile, UpstreamRequest
from fastroute.transport.choice import Transports

OK = (200, b"tls")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


@pytest.fixture
def both(certificate: tuple[Path, Path], tmp_path: Path) -> Path:
    """Certificate and key in one file."""
    file = tmp_path / "both.pem"
    file.write_text("".join(part.read_text() for part in certificate))
    return file


async def asked(
    tls: Tls, certificate: tuple[Path, Path], client_ca: Path | None = None, host: str = "localhost"
) -> tuple[int, bytes] | Failure:
    transports = Transports({"odd": Provider(tls=tls)})
    transports.prepare()
    transport = transports.of(Endpoint("e", "odd", Profile("p", "openai_chat", "/x"), "http://h", "m"))
    async with tls_provider(certificate, client_ca) as upstream:
        try:
            return await fetch_or_failure(transport, UpstreamRequest(f"https://{host}:{upstream.port}/v1/x", (), b"{}"))
        finally:
            await transports.aclose()


async def test_verified_with_the_systems_roots_by_default(certificate: tuple[Path, Path]) -> None:
    assert await asked(Tls(), certificate) is Failure.CONNECT


async def test_an_authority_of_ones_own(certificate: tuple[Path, Path]) -> None:
    own = Tls(ca_file=str(certificate[0]))
    assert await asked(own, certificate) == OK
    assert await asked(own, certificate, host="127.0.0.1") is Failure.CONNECT  # the name still counts


async def test_another_name_than_the_address(certificate: tuple[Path, Path]) -> None:
    named = Tls(ca_file=str(certificate[0]), server_name="localhost")
    assert await asked(named, certificate, host="127.0.0.1") == OK


async def test_not_verified_at_all(certificate: tuple[Path, Path]) -> None:
    assert await asked(Tls(verify=False), certificate, host="127.0.0.1") == OK


async def test_a_certificate_of_the_clients(certificate: tuple[Path, Path], both: Path) -> None:
    ca, key = map(str, certificate)
    assert await asked(Tls(ca_file=ca), certificate, client_ca=certificate[0]) in (Failure.CONNECT, Failure.RESET)
    assert await asked(Tls(ca_file=ca, client_cert=ca, client_key=key), certificate, client_ca=certificate[0]) == OK
    assert await asked(Tls(ca_file=ca, client_cert=str(both)), certificate, client_ca=certificate[0]) == OK


def test_a_certificate_without_its_key_stops_the_start(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"providers\.odd\.tls\.client_cert"):
        Transports({"odd": Provider(tls=Tls(client_cert=str(certificate[0])))}).prepare()
