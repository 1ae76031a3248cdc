"""Recorded exchanges by provider and feature, and how many of them hold every law: for the tests and for `docs/providers.md`.

A cell is passed/recorded; `-`: nothing recorded. The laws are the tests of `test_wire_openai.py`, one call for each recording.
"""

from collections.abc import Callable, Iterable
from typing import Any

import test_wire_openai as laws
from openai_recordings import kind, recordings

Law = Callable[[str], None]
Table = dict[str, dict[str, tuple[int, int]]]

FEATURES = ("stream", "whole", "tool_call", "parallel_tool_calls", "tool_result", "vision", "json_schema", "thinking")
MORE_FEATURES = ("cache_read", "logprobs", "n>1", "error")
COLUMNS = (*FEATURES, *MORE_FEATURES)
_STREAM: tuple[Law, ...] = (
    lambda name: laws.test_stream_laws(name, True),
    lambda name: laws.test_stream_laws(name, False),
    laws.test_any_cut_gives_the_same_bytes,
    laws.test_comments_and_keepalives_change_nothing,
    laws.test_a_stream_cut_short_never_looks_whole,
    laws.test_an_error_in_the_middle_is_a_fault,
    laws.test_recorded_requests_are_put_to_the_provider_as_they_were,
)
_WHOLE: tuple[Law, ...] = (
    laws.test_whole_laws,
    laws.test_whole_replies_that_need_no_mend_are_not_touched,
    laws.test_a_whole_body_cut_short_is_a_fault,
    laws.test_recorded_requests_are_put_to_the_provider_as_they_were,
)
_OPENAI: tuple[Law, ...] = (laws.test_openai_to_openai_is_byte_for_byte,)
LAWS: dict[str, tuple[Law, ...]] = {
    "stream": _STREAM,
    "failing": (laws.test_a_recorded_failure_is_a_fault_at_any_cut,),
    "whole": _WHOLE,
    "error": (laws.test_errors,),
}


def holds(name: str) -> bool:
    """Whether the recording comes through by every law of its kind."""
    own = _OPENAI if name.startswith("openai/") and kind(recordings()[name]) == "stream" else ()
    try:
        for law in (*LAWS[kind(recordings()[name])], *own):
            law(name)
    except Exception:  # any failure is a cell of the table
        return False
    return True


def features_of(name: str) -> set[str]:
    exchange: dict[str, Any] = recordings()[name]
    found = set(exchange["features"])
    if "ngt1" in name:
        found.add("n>1")
    of = kind(exchange)
    return (found & set(COLUMNS)) | {"error" if of in ("error", "failing") else of}


def table(names: Iterable[str], passed: Callable[[str], bool] = holds) -> Table:
    """provider -> feature -> (passed, recorded)."""
    found: Table = {}
    for name in names:
        row = found.setdefault(name.partition("/")[0], {})
        ok = passed(name)
        for feature in features_of(name):
            good, all_of_it = row.get(feature, (0, 0))
            row[feature] = (good + ok, all_of_it + 1)
    return found


def markdown(found: Table) -> str:
    """The table, a line a provider, in order of their names."""
    lines = ["| provider | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for provider, row in sorted(found.items()):
        cells = ["-" if feature not in row else "{}/{}".format(*row[feature]) for feature in COLUMNS]
        lines.append(f"| {provider} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
