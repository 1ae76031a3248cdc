"""Every dialect and client API is there under the name it gives itself."""

from fastroute.core.ports import ClientApi, Dialect
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_vertex import AnthropicVertexDialect
from fastroute.dialects.bedrock_converse import BedrockDialect
from fastroute.dialects.gemini_api import GeminiApi
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect
from fastroute.dialects.registry import client_apis, dialects
from fastroute.dialects.responses_dialect import ResponsesDialect


def test_dialects() -> None:
    known: dict[str, Dialect] = dialects(lambda: 5.0)
    assert {name: type(dialect) for name, dialect in known.items()} == {
        "openai_chat": OpenAIDialect,
        "anthropic_messages": AnthropicDialect,
        "anthropic_vertex": AnthropicVertexDialect,
        "gemini": GeminiDialect,
        "bedrock_converse": BedrockDialect,
        "openai_responses": ResponsesDialect,
    }
    assert all(dialect.name == name for name, dialect in known.items())


def test_dialects_are_given_the_clock() -> None:
    for dialect in dialects(lambda: 90.0).values():
        assert dialect.fault(429, {"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, b"").retry_after_s == 10.0


def test_client_apis() -> None:
    known: dict[str, ClientApi] = client_apis()
    wanted = {"openai_chat": OpenAIChatApi, "gemini": GeminiApi, "anthropic_messages": MessagesApi}
    assert wanted.items() <= {name: type(api) for name, api in known.items()}.items()
    assert all(api.name == name for name, api in known.items())
    assert client_apis() == client_apis() or client_apis() is not known, "built anew for each caller"
