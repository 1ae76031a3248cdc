"""What is wrong with a configuration, where, and what was probably meant.

Rules. A problem names keys and references but never the value of a secret or of an environment variable: those texts
end up in terminals, logs and bug reports.
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

MAX_PROBLEMS = 100
"""More than this many say nothing new; the rest are counted."""

_LONGEST_SHOWN = 60
_LONGEST_COMPARED = 64  # difflib is quadratic in the length of a word


class Spot(NamedTuple):
    """A place in a text file; both counted from 1."""

    line: int
    col: int


START = Spot(1, 1)


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake at one place. `suggestion` is what was probably meant."""

    file: str
    line: int
    col: int
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.col}: {self.message}{hint}"


class ConfigError(Exception):
    """A configuration cannot be used. `problems` holds everything found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects what is wrong with one file; a place that is reached twice (a YAML alias) is reported once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, spot: Spot, message: str, suggestion: str | None = None) -> None:
        self._found[Problem(self._file, spot.line, spot.col, message, suggestion)] = None

    def sorted(self) -> tuple[Problem, ...]:
        """By place; cut at `MAX_PROBLEMS`, with a last line that says so."""
        found = sorted(self._found, key=lambda p: (p.line, p.col, p.message))
        if len(found) <= MAX_PROBLEMS:
            return tuple(found)
        last = found[MAX_PROBLEMS]
        more = Problem(self._file, last.line, last.col, f"{len(found) - MAX_PROBLEMS} more problems from here on are not listed")
        return (*found[:MAX_PROBLEMS], more)

    def raise_if_any(self) -> None:
        if self._found:
            raise ConfigError(self.sorted())


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is most likely a misspelling of; None where nothing is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(word[:_LONGEST_COMPARED].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def shown(word: str) -> str:
    """A user's word, quoted for a message: one line, cut to a sane length."""
    text = word if len(word) <= _LONGEST_SHOWN else word[: _LONGEST_SHOWN - 3] + "..."
    return repr(text)


def listed(words: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut to `most` words."""
    every = list(words)
    return ", ".join(every[:most]) + (f", ... ({len(every)} in all)" if len(every) > most else "")
