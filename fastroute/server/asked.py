"""What the head of a chat request asks for, kept for as long as its client sends the same head."""

from fastroute.core.ports import ClientApi
from fastroute.core.types import AS_CONFIGURED, Overrides
from fastroute.server.overrides import Headers, parse_overrides


class Asked:
    """What the head of a chat request asks for. Its overrides are parsed once, and then the headers are let go."""

    __slots__ = ("_headers", "_overrides", "api", "sent_id")

    def __init__(self, api: ClientApi, headers: Headers, sent_id: str | None = None) -> None:
        self.api, self.sent_id = api, sent_id
        self._headers: Headers | None = headers
        self._overrides = AS_CONFIGURED

    def overrides(self) -> Overrides:
        """Raises `FaultError` where a header is bad."""
        if self._headers is not None:
            self._overrides = parse_overrides(self._headers)
            self._headers = None
        return self._overrides
