"""The settings of a canonical conversation as Gemini's `generationConfig`.

Rules. What Gemini cannot say and the client would miss is refused; what only tunes is listed as dropped. Effort becomes a level
from Gemini 3 on and a budget before: low 1,024, medium 8,192, high 24,576 tokens, as Google's own OpenAI-style endpoint has it.
Thoughts are asked for where reasoning was, so that the client sees them.

Source: wire notes 3.2, traps 28, 41; Google's thinking, OpenAI compatibility and structured output pages (November 2026).
"""

from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import Conversation, ResponseFormat
from fastroute.dialects.gemini_schema import structured_schema
from fastroute.dialects.gemini_terms import generation

Json = dict[str, Any]

MAX_STOPS = 5
_JSON = "application/json"
_LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 32768}
_PRO_BUDGET = 128  # the least that 2.5 Pro thinks
_PLAIN = {"max_output_tokens": "maxOutputTokens", "temperature": "temperature", "top_p": "topP", "seed": "seed"}
_PENALTIES = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_MODALITIES = {"text": "TEXT", "image": "IMAGE"}


def generation_config(asked: Conversation, endpoint: Endpoint, dropped: list[str]) -> Json:
    """The config for the endpoint's model. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) naming the client's field."""
    if len(asked.stop) > MAX_STOPS:
        raise unsupported("stop", f"Gemini takes at most {MAX_STOPS} stop sequences")
    said: Json = {ours: getattr(asked, name) for name, ours in _PLAIN.items() if getattr(asked, name) is not None}
    said |= {ours: value for name, ours in _PENALTIES.items() if (value := extra(asked, name)) not in (None, 0)}
    if asked.top_k is not None and asked.top_k > 0:
        said["topK"] = asked.top_k
    if asked.stop:
        said["stopSequences"] = list(asked.stop)
    if asked.choices != 1:
        said["candidateCount"] = asked.choices
    return said | _format(asked, endpoint, dropped) | _logprobs(asked) | _modalities(asked) | _thinking(asked, endpoint, dropped)


def extra(asked: Conversation, name: str) -> Any:
    """A member of the client's without a canonical name; None where it is absent."""
    raw = asked.extras.get(name)
    return None if raw is None else msgspec.json.decode(raw)


def _format(asked: Conversation, endpoint: Endpoint, dropped: list[str]) -> Json:
    wanted = asked.response_format
    if wanted is None or wanted.kind == "text":
        return {}
    if asked.tools and generation(endpoint.model) < (3, 0):
        raise unsupported("response_format", "this Gemini model does not take a response format together with tools")
    if wanted.kind == "json_object":
        return {"responseMimeType": _JSON}
    return _schema(wanted, endpoint, dropped)


def _schema(wanted: ResponseFormat, endpoint: Endpoint, dropped: list[str]) -> Json:
    if endpoint.capabilities.json_schema is False:
        raise unsupported("response_format", f"{endpoint.model} does not take a JSON schema")
    if wanted.schema is None:
        raise bad_request("response_format.json_schema.schema", "'response_format.json_schema.schema' is missing")
    schema, weakened = structured_schema(wanted.schema)
    if weakened:
        dropped.append("response_format.json_schema.schema: " + ", ".join(weakened))
    return {"responseMimeType": _JSON, "responseJsonSchema": schema}


def _logprobs(asked: Conversation) -> Json:
    if not asked.logprobs and not asked.top_logprobs:
        return {}
    if asked.stream:
        raise unsupported("logprobs", "Gemini gives no log probabilities in streams")
    return {"responseLogprobs": True} | ({"logprobs": asked.top_logprobs} if asked.top_logprobs else {})


def _modalities(asked: Conversation) -> Json:
    wanted = extra(asked, "modalities")
    if not wanted or wanted == ["text"]:
        return {}
    if not isinstance(wanted, list) or not all(isinstance(kind, str) and kind in _MODALITIES for kind in wanted):
        raise unsupported("modalities", "Gemini's chat models answer in text and images")
    return {"responseModalities": [_MODALITIES[kind] for kind in wanted]}


def _thinking(asked: Conversation, endpoint: Endpoint, dropped: list[str]) -> Json:
    effort, given = asked.reasoning_effort, asked.thinking
    if effort not in (None, "none", *_LEVELS):
        raise unsupported("reasoning_effort", f"no such effort: {effort}")
    if effort is None and given is None:
        return {}
    if generation(endpoint.model) < (2, 5):
        dropped += [] if effort in (None, "none") else ["reasoning_effort"]
        dropped += [] if given is None or given.get("type") == "disabled" else ["thinking"]
        return {}
    config = _explicit(given, effort, endpoint.model) if given is not None else _effort(str(effort), endpoint.model)
    return {"thinkingConfig": config} if config else {}


def _effort(effort: str, model: str) -> Json:
    newer, pro = generation(model) >= (3, 0), "pro" in model
    if effort == "none":
        if newer:
            return {"thinkingLevel": "low" if pro else "minimal"}  # these models cannot stop thinking
        return {"thinkingBudget": _PRO_BUDGET if pro else 0}
    if newer:
        return {"thinkingLevel": "low" if pro and effort == "minimal" else _LEVELS[effort], "includeThoughts": True}
    return {"thinkingBudget": _BUDGETS[effort], "includeThoughts": True}


def _explicit(given: Json, effort: str | None, model: str) -> Json:
    """Settings in Anthropic's form: its budget counts the same tokens as Gemini's."""
    if given.get("type") == "disabled":
        return _effort("none", model)
    budget = given.get("budget_tokens")
    if isinstance(budget, int) and not isinstance(budget, bool):
        return {"thinkingBudget": budget, "includeThoughts": True}
    return {"includeThoughts": True} if effort in (None, "none") else _effort(str(effort), model)
