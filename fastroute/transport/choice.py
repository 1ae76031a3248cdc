"""Which client reaches which provider: the lean one, or for a proxy or TLS of its own an aiohttp client each."""

import ssl
from collections.abc import Mapping

from fastroute.config.schema import Provider, Tls
from fastroute.core.ports import Transport
from fastroute.core.types import Endpoint
from fastroute.transport.aiohttp_client import AiohttpTransport, TransportSettings
from fastroute.transport.http1 import Http1Transport


class Transports:
    """All clients of one configuration. `prepare` before the first request; `aclose` closes them all."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.lean = Http1Transport()
        self._providers = {name: p for name, p in providers.items() if p.proxy or p.tls is not None}
        self._own: dict[str, Transport] = {}

    def prepare(self) -> None:
        """Reads the files of every provider's TLS. Raises ValueError, naming the key, where they are not what they should be."""
        self._own = {name: _own_client(name, provider) for name, provider in self._providers.items()}

    def of(self, endpoint: Endpoint) -> Transport:
        return self._own.get(endpoint.provider, self.lean)

    async def aclose(self) -> None:
        for transport in (self.lean, *self._own.values()):
            await transport.aclose()


def _own_client(name: str, provider: Provider) -> AiohttpTransport:
    tls = provider.tls
    settings = TransportSettings(proxy=provider.proxy, server_name=tls.server_name if tls else None)
    return AiohttpTransport(settings, None if tls is None else _context(name, tls))


def _context(name: str, tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError:  # SSLError is one
        raise ValueError(f"providers.{name}.tls.ca_file: not a file of certificates (PEM)") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert is not None:
        try:
            context.load_cert_chain(tls.client_cert, tls.client_key, password="")
        except OSError:
            raise ValueError(
                f"providers.{name}.tls.client_cert: not a certificate (PEM) with its private key, or the key has a password"
            ) from None
    return context
