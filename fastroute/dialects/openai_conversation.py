"""OpenAI chat requests as canonical conversations."""

from fastroute.core.types import ChatRequest
from fastroute.dialects.canonical import Conversation


def conversation(request: ChatRequest) -> Conversation:
    """The OpenAI chat body in `request.fields` in canonical form. Raises `FaultError` (BAD_REQUEST) naming the field."""
    raise NotImplementedError
