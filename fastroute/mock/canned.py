"""The one answer of a canned endpoint, whole and streamed, made once: a bench should not measure its mock."""

from fastroute.mock.ask import Ask
from fastroute.mock.http1 import chunk, head
from fastroute.mock.ledger import Record
from fastroute.mock.model import Model
from fastroute.mock.script import EVENTS, JSON, Draft, Script, healthy

_INPUT_TOKENS = 16


class Canned:
    """Two drafts, and the same as complete HTTP responses for an endpoint without any latency (`instant`)."""

    def __init__(self, model: Model) -> None:
        name = model.names[0] if model.names else "canned"
        self.ask = Ask(name, "canned", _INPUT_TOKENS, include_usage=True)
        self._whole = model.draft(self.ask, in_flight=0)
        self._stream = model.draft(Ask(name, "canned", _INPUT_TOKENS, stream=True, include_usage=True), in_flight=0)
        self.instant = self._whole.end_s == 0.0
        self._responses = {False: _whole_response(self._whole), True: _stream_response(self._stream)}

    @staticmethod
    def wants_stream(body: bytes) -> bool:
        return b'"stream":true' in body or b'"stream": true' in body

    def response(self, stream: bool) -> bytes:
        return self._responses[stream]

    def tokens(self, stream: bool) -> int:
        return self._stream.tokens if stream else self._whole.tokens

    def script(self, body: bytes, record: Record) -> Script:
        """The answer to be played at its pace; fills in the record."""
        stream = self.wants_stream(body)
        record.model, record.stream, record.input_tokens = self.ask.model, stream, self.ask.input_tokens
        return healthy(self._stream if stream else self._whole)


def _whole_response(draft: Draft) -> bytes:
    return head(200, (*JSON, ("content-length", str(len(draft.body)))), keep_alive=True) + draft.body


def _stream_response(draft: Draft) -> bytes:
    assert draft.rendered is not None
    rendered = draft.rendered
    pieces = b"".join(chunk(piece) for piece in (rendered.prelude, *rendered.chunks, rendered.tail))
    return head(200, (*EVENTS, ("transfer-encoding", "chunked")), keep_alive=True) + pieces + b"0\r\n\r\n"
