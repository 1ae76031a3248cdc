"""Clients of APIs other than OpenAI's, and providers that do not speak theirs: the way there and back, by the client's API."""

from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest
from fastroute.dialects import gemini_elsewhere
from fastroute.dialects.messages_api import NAME as MESSAGES
from fastroute.dialects.messages_chat import messages_as_chat, messages_retold
from fastroute.dialects.responses_api import NAME as RESPONSES
from fastroute.dialects.responses_chat import responses_as_chat, responses_retold


def as_chat(request: ChatRequest, dialect: str) -> ChatRequest:
    """The request as an OpenAI client's. `dialect`: whom it is for. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST)."""
    if request.api == RESPONSES:
        return responses_as_chat(request, dialect)
    return messages_as_chat(request, dialect) if request.api == MESSAGES else gemini_elsewhere.as_chat(request, dialect)


def retold(inner: Translator, request: ChatRequest, model: str) -> Translator:
    """What `inner` tells an OpenAI client, for a client of the request's API."""
    if request.api == RESPONSES:
        return responses_retold(inner, request, model)
    if request.api == MESSAGES:
        return messages_retold(inner, request, model)
    return gemini_elsewhere.retold(inner, request, model)
