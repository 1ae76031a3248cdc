"""Every client API and every provider dialect, by name."""

from collections.abc import Callable

from fastroute.core.ports import ClientApi, Dialect
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_vertex import AnthropicVertexDialect
from fastroute.dialects.bedrock_converse import BedrockDialect
from fastroute.dialects.gemini_api import GeminiApi
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect
from fastroute.dialects.responses_api import ResponsesApi
from fastroute.dialects.responses_dialect import ResponsesDialect


def client_apis() -> dict[str, ClientApi]:
    """What clients may speak."""
    apis: tuple[ClientApi, ...] = (OpenAIChatApi(), GeminiApi(), MessagesApi(), ResponsesApi())
    return {api.name: api for api in apis}


def dialects(wall_s: Callable[[], float]) -> dict[str, Dialect]:
    """What providers may speak. `wall_s` gives epoch seconds, for creation times and for retry hints given as dates."""
    known: tuple[Dialect, ...] = (
        OpenAIDialect(wall_s),
        ResponsesDialect(wall_s),
        AnthropicDialect(wall_s),
        AnthropicVertexDialect(wall_s),
        GeminiDialect(wall_s),
        BedrockDialect(wall_s),
    )
    return {dialect.name: dialect for dialect in known}
