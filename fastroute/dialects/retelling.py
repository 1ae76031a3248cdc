"""What a dialect tells an OpenAI client, told again to a client of another API.

Theory of operation. Every dialect knows how to answer OpenAI's clients: mends, renamed tools, failures. Its output is read
chunk by chunk as canonical events, and the other API's writer says them again. What the engine watches is what the first
teller shows.
"""

from fastroute.core.failures import Fault
from fastroute.core.ports import Translator
from fastroute.core.types import Usage
from fastroute.dialects.bridge import Writer
from fastroute.dialects.openai_chunks import ChunkReader


class Retold:
    """A `core.ports.Translator` made of one for OpenAI's clients, a reader of what it says, and a writer."""

    def __init__(self, inner: Translator, reader: ChunkReader, writer: Writer) -> None:
        self._inner, self._reader, self._writer = inner, reader, writer
        self.content_started = self.finished = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, data: bytes) -> bytes:
        return self._retell(self._inner.feed(data))

    def end(self) -> bytes:
        return self._retell(self._inner.end())

    def whole(self, body: bytes) -> bytes:
        told = self._inner.whole(body)
        self._copy()
        return self._writer.whole(self._reader.whole(told, self.usage)) if self.fault is None else b""

    def interrupted(self, fault: Fault) -> bytes:
        return self._writer.interrupted(fault, self.usage)

    def _retell(self, told: bytes) -> bytes:
        self._copy()
        return self._writer.write(self._reader.feed(told, self.usage)) if told else b""

    def _copy(self) -> None:
        """What the engine reads of a translator."""
        inner = self._inner
        self.content_started, self.finished, self.fault = inner.content_started, inner.finished, inner.fault
        self.usage, self.output_tokens_seen = inner.usage, inner.output_tokens_seen
