"""Tool calls as OpenAI-style providers send them, mended: one index and one unique id per call, arguments that are JSON.

Rules. Calls of a choice are numbered from 0 in order of appearance. Each has a non-empty id that no other call of the choice has
(OpenAI itself gives the same id in several choices); a missing, empty or repeated one is replaced by one derived from the
request's id, so every replay gives the same. Id and name are sent once. Arguments are text; none at all becomes `{}` when the
calls are complete.

Theory of operation. What counts as "the same call" differs by provider. With an index: the same index, unless a new id and name,
or a name after complete arguments, or a second entry in one delta, show a new call (providers that number every call 0).
Without an index: the same id; a new id or a name is a new call; neither continues the last one.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

JsonDict = dict[str, Any]


class _Call:
    __slots__ = ("arguments", "id", "name", "upstream_id")

    def __init__(self, call_id: str, upstream_id: str | None) -> None:
        self.id = call_id
        self.upstream_id = upstream_id
        self.name: str | None = None
        self.arguments: list[str] | None = []  # None: not a function call, so it has none

    def complete(self) -> bool:
        """The arguments are a whole JSON value, so nothing can follow them."""
        text = "".join(self.arguments or ())
        if not text.strip():
            return False
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class CallTable:
    """The tool calls of one choice. `numbered`: calls carry their number, as deltas must; those of a whole message need not."""

    def __init__(self, request_id: str, choice: int, numbered: bool = True) -> None:
        self._seed = f"{request_id}/{choice}/"
        self._taken: set[str] = set()  # ids
        self._numbered = numbered
        self._calls: list[_Call] = []
        self._by_index: dict[int, int] = {}
        self._latest: dict[int, JsonDict] = {}  # entries of the last delta, by call
        self.called = False  # the client has something to run

    @property
    def begun(self) -> bool:
        """Some call has been sent."""
        return bool(self._calls)

    def continues(self, index: int, arguments: str) -> bool:
        """Takes a delta that carries only arguments of a known call whose number needs no mend; else says no."""
        if self._by_index.get(index) != index:
            return False
        pieces = self._calls[index].arguments
        if pieces is None:
            return False
        pieces.append(arguments)
        return True

    def mend(self, items: list[JsonDict]) -> bool:
        """Mends the entries of one delta (or message) in place; says whether anything changed."""
        changed = False
        touched: dict[int, JsonDict] = {}
        self._latest = touched
        for item in items:
            number = self._number(item, touched)
            touched.setdefault(number, item)
            new = number == len(self._calls)
            changed |= self._begin(item) if new else _continue(self._calls[number], item)
            if self._numbered and item.get("index") != number:
                item["index"] = number
                changed = True
            changed |= self._take_arguments(self._calls[number], item)
        return changed

    def fill(self, items: list[JsonDict]) -> bool:
        """The choice is done: gives calls that never got arguments their `{}`, in `items` of its last delta."""
        changed = False
        for number, call in enumerate(self._calls):
            if call.arguments is None or "".join(call.arguments).strip():
                continue
            call.arguments.append("{}")
            changed = True
            here = self._latest.get(number)
            here = here if here in items else None
            if here is None:
                items.append({"index": number, "function": {"arguments": "{}"}})
            else:
                here["function"] = {**(here.get("function") or {}), "arguments": "{}"}
        return changed

    def _number(self, item: JsonDict, touched: Mapping[int, JsonDict]) -> int:
        """Which call the entry belongs to; one past the last for a new one."""
        new = len(self._calls)
        index, call_id, name = _index(item), item.get("id") or None, _name(item)
        if index is not None:
            known = self._by_index.get(index)
            if known is None or self._is_new(known, call_id, name, touched):
                self._by_index[index] = new
                return new
            return known
        if call_id is not None:
            known = next((n for n in range(new - 1, -1, -1) if self._calls[n].upstream_id == call_id), None)
            return new if known is None or (name and (known in touched or self._calls[known].complete())) else known
        if not new or (name and self._is_new(new - 1, None, name, touched)):
            return new
        return new - 1

    def _is_new(self, known: int, call_id: str | None, name: str | None, touched: Mapping[int, JsonDict]) -> bool:
        if not name:
            return False
        call = self._calls[known]
        if known in touched or (call.name is not None and call.name != name):
            return True
        return (call_id is not None and call_id != call.upstream_id) or call.complete()

    def _begin(self, item: JsonDict) -> bool:
        upstream_id = item.get("id")
        call_id = upstream_id if isinstance(upstream_id, str) and upstream_id and upstream_id not in self._taken else self._mint()
        self._taken.add(call_id)
        call = _Call(call_id, upstream_id or None)
        call.name = _name(item)
        self._calls.append(call)
        untyped = not item.get("type")
        if untyped:
            item["type"] = "custom" if "custom" in item else "function"
        if "custom" in item:
            call.arguments = None
        self.called = self.called or item["type"] in ("function", "custom")
        item["id"] = call_id
        return untyped or upstream_id != call_id

    def _mint(self) -> str:
        for salt in range(1000):
            digest = hashlib.blake2b(f"{self._seed}{len(self._calls)}/{salt}".encode(), digest_size=12).hexdigest()
            if f"call_{digest}" not in self._taken:
                return f"call_{digest}"
        raise AssertionError("a thousand digests collided")

    def _take_arguments(self, call: _Call, item: JsonDict) -> bool:
        function = item.get("function")
        if call.arguments is None or not isinstance(function, dict):
            return False
        arguments = function.get("arguments")
        if arguments is None:
            return False
        if not isinstance(arguments, str):
            function["arguments"] = msgspec.json.encode(arguments).decode()
            call.arguments.append(function["arguments"])
            return True
        call.arguments.append(arguments)
        return False


def _continue(call: _Call, item: JsonDict) -> bool:
    """Takes out of a later delta what was sent before: clients join strings, so a repeat would be joined on."""
    changed = "id" in item and item.pop("id") is not None
    name = _name(item)
    if name and call.name is None:
        call.name = name
    elif name:
        del item["function"]["name"]
        changed = True
    return changed


def _index(item: JsonDict) -> int | None:
    index = item.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _name(item: JsonDict) -> str | None:
    for kind in ("function", "custom"):
        part = item.get(kind)
        if isinstance(part, dict) and isinstance(part.get("name"), str) and part["name"]:
            return str(part["name"])
    return None
