"""YAML read strictly: no duplicate keys, no tags, no surprises of YAML 1.1, and a place for every value.

Rules. Booleans and numbers are those of YAML 1.2's core schema: `no`, `on` and `12:30` are strings. `<<` merges work.
A key given twice is a problem, never a silent overwrite. All keys are text.

Theory of operation. PyYAML's parser is iterative and gives events with marks; the nodes are built from them on an own
stack, so nothing recurses and a hostile file is refused while it is read.

What can go wrong. Aliases of aliases double with every line ("billion laughs"): nodes are shared, so building is cheap,
but every walk would visit them all; the count of what a walk would visit is kept while building, and bounded.

Source: YAML 1.2.2, 10.3 (core schema); yaml.org/type/merge.html.
"""

import re
from typing import Any

import msgspec
import yaml

from fastroute.config.nodes import MAX_DEPTH, MAX_VALUES, Node
from fastroute.config.problems import START, Problems, Spot, shown

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,19}|0o[0-7]{1,21}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,5})?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MERGE = "<<"
_STANDARD_TAG = "tag:yaml.org,2002:"


def scalar(text: str) -> Any:
    """What a plain scalar stands for in YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(text) and len(text) <= 64:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def parse_yaml(text: str, problems: Problems, loader: Any = LOADER) -> Node | None:
    """The document as located values; None, with the reasons in `problems`, where it cannot be read at all."""
    builder = _Builder(problems)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        problems.add(_spot(error.problem_mark or error.context_mark), f"not valid YAML: {_reason(error, text)}")
        return None
    except yaml.reader.ReaderError as error:
        problems.add(_at_offset(text, error.position), "not valid YAML: this character is not allowed in a text file")
        return None
    except _Refused as refused:
        problems.add(refused.spot, str(refused))
        return None
    if builder.root is None:
        problems.add(START, "the file is empty")
    return builder.root


class _Refused(Exception):
    """Reading stops here."""

    def __init__(self, spot: Spot, message: str) -> None:
        super().__init__(message)
        self.spot = spot


class _Frame(msgspec.Struct, eq=False):
    """A collection that is being filled."""

    node: Node
    anchor: str | None
    key: str | None = None  # the key whose value comes next
    key_spot: Spot = START
    merge: bool = False  # that key is a merge key
    merges: list[Node] = []
    size: int = 1  # values below, aliases followed


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._documents = 0
        self.root: Node | None = None

    def take(self, event: yaml.Event) -> None:
        spot = _spot(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, spot)
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event.anchor, spot)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, spot)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Refused(spot, "a second document begins here; a configuration is one document")

    def _open(self, event: Any, spot: Spot) -> None:
        self._refuse_tag(event.tag, spot)
        if len(self._stack) >= MAX_DEPTH:
            raise _Refused(spot, f"nested more than {MAX_DEPTH} levels deep")
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append(_Frame(Node(value, spot), event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        for merged in frame.merges:
            for key, child in merged.items():
                if key not in frame.node.value:
                    frame.node.value[key] = child
                    frame.node.keys[key] = merged.key_spot(key)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.node, frame.size)
        self._put(frame.node, frame.size)

    def _take_alias(self, anchor: str | None, spot: Spot) -> None:
        if anchor is None or anchor not in self._anchors:
            raise _Refused(spot, f"alias *{anchor} refers to nothing that is complete before this place")
        self._put(*self._anchors[anchor])

    def _take_scalar(self, event: yaml.ScalarEvent, spot: Spot) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.node.value, dict) and frame.key is None:
            frame.key, frame.key_spot = event.value, spot
            frame.merge = event.value == _MERGE and event.style in (None, "")
            if event.anchor is not None:
                self._anchors[event.anchor] = (Node(event.value, spot), 1)
            return
        plain = bool(event.implicit[0])
        self._refuse_tag(None if plain or event.implicit[1] else event.tag, spot)
        forced_text = event.tag in ("!", _STANDARD_TAG + "str")
        node = Node(scalar(event.value) if plain and not forced_text else event.value, spot)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1)
        self._put(node, 1)

    def _refuse_tag(self, tag: str | None, spot: Spot) -> None:
        if tag is not None and tag not in (_STANDARD_TAG + "str", _STANDARD_TAG + "map", _STANDARD_TAG + "seq", "!"):
            self._problems.add(spot, f"tag {shown(tag)} is not allowed here")

    def _put(self, node: Node, size: int) -> None:
        """Hands a complete value to what is around it."""
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += size
        if frame.size > MAX_VALUES:
            raise _Refused(node.spot, f"more than {MAX_VALUES:,} values, aliases followed")
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is None:
            self._problems.add(node.spot, "a key must be plain text")
            frame.key, frame.key_spot, frame.merge = "", node.spot, False
        else:
            self._put_member(frame, frame.key, node)
            frame.key = None

    def _put_member(self, frame: _Frame, key: str, node: Node) -> None:
        if frame.merge:
            frame.merges.extend(self._merge_sources(node))
        elif key in frame.node.value:
            first = frame.node.key_spot(key)
            self._problems.add(frame.key_spot, f"key {shown(key)} is given twice (first in line {first.line})")
        else:
            frame.node.value[key] = node
            frame.node.keys[key] = frame.key_spot

    def _merge_sources(self, node: Node) -> list[Node]:
        sources = list(node.elements()) or [node]
        if not all(isinstance(source.value, dict) for source in sources):
            self._problems.add(node.spot, "'<<' merges a mapping or a list of mappings")
            return []
        return sources


def _spot(mark: Any) -> Spot:
    return START if mark is None else Spot(mark.line + 1, mark.column + 1)


def _at_offset(text: str, offset: int) -> Spot:
    before = text[:offset]
    return Spot(before.count("\n") + 1, offset - before.rfind("\n"))


def _reason(error: yaml.MarkedYAMLError, text: str) -> str:
    reason = ", ".join(part for part in (error.context, error.problem) if part) or "unreadable"
    line = _spot(error.problem_mark or error.context_mark).line
    here = text.splitlines()[line - 1 : line]
    return reason + (' (put "${...}" in quotes)' if here and "${" in here[0] else "")
