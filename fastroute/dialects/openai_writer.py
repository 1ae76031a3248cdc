"""Canonical events as OpenAI chat completions, streamed or whole."""

from collections.abc import Sequence

from fastroute.core.failures import Fault
from fastroute.core.types import ChatRequest, Usage
from fastroute.dialects.canonical import Event


class OpenAIWriter:
    """A `bridge.Writer` for OpenAI chat clients; one per attempt."""

    def __init__(self, request: ChatRequest, created_s: int, fallback_model: str) -> None:
        raise NotImplementedError

    def write(self, events: Sequence[Event]) -> bytes:
        raise NotImplementedError

    def whole(self, events: Sequence[Event]) -> bytes:
        raise NotImplementedError

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        raise NotImplementedError
