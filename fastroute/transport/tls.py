"""TLS towards providers: always verified unless the operator says otherwise, sessions resumed where the provider offers it.

Theory of operation. asyncio has no place for a session: its transports call `wrap_bio` of the context they were given. So the
context adds the last session that its host gave. A session belongs to one context and was made under its verification,
for that name; the provider may refuse it, which costs a full handshake and nothing else. Tickets of TLS 1.3
come after the handshake, so sessions are remembered when a connection has had its first reply.
"""

import asyncio
import ssl
from typing import Any

MAX_SESSIONS = 1024


class ResumingContext(ssl.SSLContext):
    """An `SSLContext` for clients that remembers one session per host."""

    sessions: dict[str, ssl.SSLSession]

    @classmethod
    def verifying(cls, ca_file: str | None = None) -> "ResumingContext":
        """As `ssl.create_default_context` makes it; `ca_file` replaces the system's roots. Raises OSError, `ssl.SSLError`."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)  # checks names and certificates
        context.sessions = {}
        context.set_alpn_protocols(["http/1.1"])
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
        return context

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        host = options.get("server_hostname")
        session = self.sessions.get(host) if isinstance(host, str) else None
        return super().wrap_bio(*args, **{"session": session, **options})

    def remember(self, host: str, transport: asyncio.BaseTransport) -> None:
        """Takes the session of a connection to `host` for the next one."""
        ssl_object = transport.get_extra_info("ssl_object")
        session = None if ssl_object is None else ssl_object.session
        if session is not None and (host in self.sessions or len(self.sessions) < MAX_SESSIONS):
            self.sessions[host] = session
