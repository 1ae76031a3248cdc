"""Many workers' metrics as one: expositions in Prometheus's text format, added up.

Rules. Counters and histograms are summed, and so are the gauges that count requests of one worker; every other gauge says the
same in all workers, so the first one's is shown. Sums never fall: what a worker had counted when it was last asked stays in
the sum after it has died, or a scraper would take its death for a restart of all and count everything again.

What can go wrong. What a worker counted between the last scrape and its death is lost.
"""

import re
from collections.abc import Iterable

from prometheus_client.utils import floatToGoString

from fastroute.telemetry import names

_SUMMED_GAUGES = frozenset((names.IN_FLIGHT.name,))
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)")
_TYPE = re.compile(r"^# TYPE (\S+) (\S+)$")

Samples = dict[str, float]


class Exposition:
    """One exposition, parsed: the comments before each family, its kind, and its samples in order."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, tuple[list[str], str, Samples]] = {}
        comments: list[str] = []
        samples: Samples = {}
        for line in text.splitlines():
            if line.startswith("#"):
                comments.append(line)
                if kind := _TYPE.match(line):
                    samples = {}
                    self.families[kind[1]] = (comments, kind[2], samples)
                    comments = []
            elif sample := _SAMPLE.match(line):
                samples[sample[1]] = float(sample[2])

    def counted(self) -> "Exposition":
        """Only what outlives its worker: counters and histograms."""
        kept = Exposition("")
        kept.families = {n: f for n, f in self.families.items() if f[1] != "gauge"}
        return kept


def merged(expositions: Iterable[Exposition]) -> Exposition:
    """The sum. What only some have is kept, in the order it is met."""
    total = Exposition("")
    for exposition in expositions:
        for name, (comments, kind, samples) in exposition.families.items():
            into = total.families.setdefault(name, (comments, kind, {}))[2]
            for key, value in samples.items():
                into[key] = _together(name, kind, into.get(key), value)
    return total


def rendered(exposition: Exposition) -> bytes:
    """The text of an exposition."""
    lines = []
    for comments, _, samples in exposition.families.values():
        lines.extend(comments)
        lines.extend(f"{key} {_number(value)}" for key, value in samples.items())
    return "\n".join([*lines, ""]).encode()


class Counts:
    """The workers' expositions over time, by slot and generation."""

    def __init__(self) -> None:
        self._latest: dict[int, tuple[int, Exposition]] = {}
        self._departed = Exposition("")

    def take(self, slot: int, generation: int, text: str) -> None:
        """A worker's exposition as of now."""
        known = self._latest.get(slot)
        if known is not None and known[0] != generation:
            self._departed = merged([self._departed, known[1].counted()])
        self._latest[slot] = (generation, Exposition(text))

    def total(self) -> Exposition:
        """Everything counted so far, by the living and the dead."""
        living = [exposition for _, (_, exposition) in sorted(self._latest.items())]
        return merged([*living, self._departed])


def _together(name: str, kind: str, before: float | None, value: float) -> float:
    if before is None:
        return value
    if name.endswith("_created"):
        return min(before, value)
    return before + value if kind != "gauge" or name in _SUMMED_GAUGES else before


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
