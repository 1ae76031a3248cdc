"""The output items of a response as they grow, and the events each step makes.

Rules. An item has one id and one output index in all its events. Each is opened, filled and closed in OpenAI's order: item added,
part added, deltas, part done, item done.
"""

from typing import Any

from fastroute.dialects.responses_seal import GOOGLE, seal

Json = dict[str, Any]
Events = list[Json]  # each with its type; the writer numbers them

_TEXT_PARTS = {"output_text": ("response.output_text", "text"), "refusal": ("response.refusal", "refusal")}


class Item:
    """What every kind of item has: where it stands, and its form as JSON."""

    prefix = ""

    def __init__(self, index: int, response: str, members: Json) -> None:
        self.index = index
        self.json: Json = {"id": f"{self.prefix}_{response}_{index}", **members}
        self.closed = False

    def opened(self) -> Events:
        """The event that shows the item, still empty."""
        return [self.event("response.output_item.added", item=_copy(self.json))]

    def closed_by(self, status: str) -> Events:
        """The events that complete the item. `status`: completed or incomplete."""
        self.closed = True
        events = self.rest(status)
        return [*events, self.event("response.output_item.done", item=_copy(self.json))]

    def rest(self, status: str) -> Events:
        """What is still to be said before the item is done."""
        self.json["status"] = status
        return []

    def event(self, kind: str, **members: Any) -> Json:
        """An event about this item."""
        place = {} if kind.startswith("response.output_item") else {"item_id": self.json["id"]}
        return {"type": kind, "output_index": self.index, **place, **members}


def _copy(item: Json) -> Json:
    return {name: list(value) if isinstance(value, list) else value for name, value in item.items()}


class Message(Item):
    """Text and refusals."""

    prefix = "msg"

    def __init__(self, index: int, response: str) -> None:
        super().__init__(index, response, {"type": "message", "status": "in_progress", "role": "assistant", "content": []})
        self._kind = ""
        self._pieces: list[str] = []

    def add(self, kind: str, text: str) -> Events:
        """A piece of text; `kind`: output_text or refusal."""
        events = [] if kind == self._kind else [*self._end_part(), *self._start_part(kind)]
        self._pieces.append(text)
        extra: Json = {"logprobs": []} if kind == "output_text" else {}
        name = _TEXT_PARTS[kind][0]
        return [*events, self._part_event(f"{name}.delta", delta=text, **extra)]

    def rest(self, status: str) -> Events:
        return self._end_part() + super().rest(status)

    def _part_event(self, kind: str, **members: Any) -> Json:
        return self.event(kind, content_index=len(self.json["content"]), **members)

    def _part(self, text: str) -> Json:
        extra: Json = {"annotations": [], "logprobs": []} if self._kind == "output_text" else {}
        return {"type": self._kind, _TEXT_PARTS[self._kind][1]: text, **extra}

    def _start_part(self, kind: str) -> Events:
        self._kind, self._pieces = kind, []
        return [self._part_event("response.content_part.added", part=self._part(""))]

    def _end_part(self) -> Events:
        if not self._kind:
            return []
        text, (name, member) = "".join(self._pieces), _TEXT_PARTS[self._kind]
        extra: Json = {"logprobs": []} if self._kind == "output_text" else {}
        part = self._part(text)
        events = [
            self._part_event(f"{name}.done", **{member: text}, **extra),
            self._part_event("response.content_part.done", part=part),
        ]
        self.json["content"].append(part)
        self._kind = ""
        return events


class Reasoning(Item):
    """Reasoning as a summary, with what its provider wants back sealed."""

    prefix = "rs"

    def __init__(self, index: int, response: str) -> None:
        super().__init__(index, response, {"type": "reasoning", "summary": []})
        self._pieces: list[str] = []
        self.blocks: list[Json] = []

    def add(self, text: str) -> Events:
        """A piece of the reasoning."""
        first = not self._pieces
        self._pieces.append(text)
        said = self.event("response.reasoning_summary_text.delta", summary_index=0, delta=text)
        if not first:
            return [said]
        part = {"type": "summary_text", "text": ""}
        return [self.event("response.reasoning_summary_part.added", summary_index=0, part=part), said]

    def rest(self, status: str) -> Events:
        if self.blocks:
            self.json["encrypted_content"] = seal(self.blocks)
        if not self._pieces:
            return []
        text = "".join(self._pieces)
        part = {"type": "summary_text", "text": text}
        self.json["summary"].append(part)
        return [
            self.event("response.reasoning_summary_text.done", summary_index=0, text=text),
            self.event("response.reasoning_summary_part.done", summary_index=0, part=part),
        ]


class Call(Item):
    """A function call."""

    prefix = "fc"

    def __init__(self, index: int, response: str, call_id: str, name: str) -> None:
        members = {"type": "function_call", "status": "in_progress", "arguments": "", "call_id": call_id, "name": name}
        super().__init__(index, response, members)
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """As far as they came."""
        return "".join(self._pieces)

    def add(self, text: str) -> Events:
        """A piece of the arguments."""
        self._pieces.append(text)
        return [self.event("response.function_call_arguments.delta", delta=text)]

    def rest(self, status: str) -> Events:
        events = self.add("{}") if status == "completed" and not self.arguments.strip() else []
        self.json["arguments"] = self.arguments
        done = self.event("response.function_call_arguments.done", arguments=self.arguments, name=self.json["name"])
        return [*events, done, *super().rest(status)]


def signature_block(signature: str) -> Json:
    """Gemini's signature of the call that follows, as a block to seal."""
    return {"type": GOOGLE, "signature": signature}
