"""Gemini's dialect for Anthropic's clients and those of Responses too."""

from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.gemini_request import GeminiRequest
from fastroute.dialects.messages_api import NAME as MESSAGES
from fastroute.dialects.responses_api import NAME as RESPONSES

_RETOLD = (MESSAGES, RESPONSES)


class GeminiForAll(GeminiDialect):
    """A `core.ports.Dialect`."""

    def translate(self, request: ChatRequest, endpoint: Endpoint) -> GeminiRequest:
        return super().translate(as_chat(request, self.name) if request.api in _RETOLD else request, endpoint)

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api not in _RETOLD:
            return super().translator(request, endpoint)
        return retold(super().translator(as_chat(request, self.name), endpoint), request, endpoint.model)
