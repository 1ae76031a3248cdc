"""What the tests of the Bedrock dialect share."""

import json
from typing import Any

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.aws_event_stream import encoded
from fastroute.dialects.bedrock_converse import BedrockDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

DIALECT = BedrockDialect(lambda: 1_700_000_000.0)
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
USER = {"role": "user", "content": "Hi"}
Json = dict[str, Any]


def endpoint(model: str = CLAUDE, auth: str = "bearer", key: str = "k", base_url: str = HOST, **changes: Any) -> Endpoint:
    profile = Profile("bedrock", "bedrock_converse", "/model/{model}/converse", auth=auth)
    return Endpoint("e", "bedrock", profile, base_url, model, key=key, **changes)


def chat(*messages: Json, **members: Any) -> ChatRequest:
    body = {"model": "auto", "messages": list(messages) or [USER], **members}
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r1", 0.0)


def sent(*messages: Json, model: str = CLAUDE, **members: Any) -> Json:
    """The body that goes to Bedrock."""
    return json.loads(DIALECT.encode(chat(*messages, **members), endpoint(model)).body)


def dropped(*messages: Json, model: str = CLAUDE, **members: Any) -> tuple[str, ...]:
    return DIALECT.translate(chat(*messages, **members), endpoint(model)).dropped


def tool(name: str, **function: Any) -> Json:
    return {"type": "function", "function": {"name": name, **function}}


def called(*calls: tuple[str, str, str], **message: Any) -> Json:
    """An assistant's message with calls as (id, name, arguments)."""
    listed = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": None, "tool_calls": listed, **message}


def result(call_id: str, content: Any) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def event(name: str, **members: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encoded(headers, json.dumps({**members, "p": "abc"}).encode())


def exception(name: str, message: str = "bad luck", **members: Any) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return encoded(headers, json.dumps({"message": message, **members}).encode())


def delta(index: int, **members: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=members)


def stop(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


def tool_start(index: int, call_id: str, name: str, **members: Any) -> bytes:
    return event("contentBlockStart", contentBlockIndex=index, start={"toolUse": {"toolUseId": call_id, "name": name, **members}})


def ending(reason: str = "end_turn") -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    return event("messageStop", stopReason=reason) + event("metadata", usage=usage, metrics={"latencyMs": 1})


START = event("messageStart", role="assistant")
