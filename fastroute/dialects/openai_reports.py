"""Usage reports inside streams, as chunks of their own: OpenAI's place for them, after the last finish."""

from typing import Any

import msgspec

from fastroute.dialects.openai_frames import Frame, Raw, encode, event, is_null
from fastroute.dialects.openai_usage import mended_usage

_MEMBERS = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")


def usage_event(frame: Frame, reported: dict[str, Any], pure: bool, reasoning_in_output: bool = True) -> bytes:
    """The event that tells the client what `frame` reported: the provider's own where that is `pure`, all it says."""
    mended = mended_usage(reported, reasoning_in_output)
    if pure:
        if mended is not None:
            frame.set("usage", Raw(encode(mended)))
        return frame.render()
    members: dict[str, Any] = {name: frame.members[name] for name in _MEMBERS if name in frame.members}
    usage = frame.members["usage"] if mended is None and not is_null(frame.members.get("usage")) else mended or reported
    return event(encode({**members, "choices": [], "usage": usage}))


def groq_usage(frame: Frame) -> Any:
    """What Groq reports in a member of its own; None where there is none."""
    extension = frame.members.get("x_groq")
    value = None if extension is None else msgspec.json.decode(extension)
    return value.get("usage") if isinstance(value, dict) else None
