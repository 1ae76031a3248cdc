"""A scenario: which contenders, what they are asked, under which load, for how long. Read strictly from YAML.

Rules. A field that is not known, missing, given twice or of the wrong kind is an error that names it. Exactly one of
`arrivals`, `users` and `closed` is the load.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from bench import users as user_classes
from bench.arrivals import AnyProcess, Burst, Constant, Count, Poisson, Positive, Ramp, Replay
from bench.request import Kind

FOLDER = Path(__file__).parent / "scenarios"

Seconds = Annotated[float, msgspec.Meta(gt=0, le=7200)]
Start = Annotated[float, msgspec.Meta(ge=0)]


class ScenarioError(ValueError):
    """A scenario that cannot be used; the message names the file and the field."""


class Users(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Virtual users: a class of `bench.users`, or `module:Class`."""

    name: str = msgspec.field(name="class")
    count: Count
    spawn_per_s: Positive = 50.0


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closed loop: connections that never rest. Several numbers are measured one after the other."""

    connections: Count | Annotated[list[Count], msgspec.Meta(min_length=1)]
    spread_s: Start = 0.0


class Stall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The upstream holds back every answer from `at_s` on, for `for_s`."""

    at_s: Start
    for_s: Positive


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario. `direct`: the same calls also go straight to the upstream, interleaved, and pairs are compared."""

    says: str
    contenders: Annotated[list[str], msgspec.Meta(min_length=1)]
    seconds: Seconds
    request: Kind = Kind()
    arrivals: AnyProcess | None = None
    users: Users | None = None
    closed: Closed | None = None
    rounds: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    warmup_s: Start = 1.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | Annotated[list[int], msgspec.Meta(min_length=1)] = 1
    stalls: list[Stall] = []
    direct: bool = True
    judge_driver: bool = True
    max_open: Count = 10_000
    saturated_p99_ms: Positive = 50.0
    seed: int = 1
    name: str = ""

    @property
    def connections(self) -> list[int]:
        """Closed loops to measure; [0] for the other loads."""
        if self.closed is None:
            return [0]
        given = self.closed.connections
        return given if isinstance(given, list) else [given]

    @property
    def worker_counts(self) -> list[int]:
        return self.workers if isinstance(self.workers, list) else [self.workers]

    @property
    def paired(self) -> bool:
        """Whether direct calls are interleaved."""
        return self.direct and self.closed is None

    @property
    def ramp(self) -> Ramp | None:
        return self.arrivals if isinstance(self.arrivals, Ramp) else None

    @property
    def load_text(self) -> str:
        """The load in a few words; rows with the same words can be compared."""
        kind = f"{self.request.chunks}-chunk stream" if self.request.stream else "whole"
        if self.closed is not None:
            return f"{kind}, full load"
        if self.users is not None:
            return f"{kind}, {self.users.count} users of {self.users.name}"
        return f"{kind}, {_process_text(self.arrivals)}"

    @property
    def expected_s(self) -> float:
        """About how long it takes, with starting the processes."""
        one_s = self.seconds + self.warmup_s + 1.5
        return one_s * self.rounds * len(self.contenders) * len(self.connections) * len(self.worker_counts)


def _process_text(process: AnyProcess | None) -> str:
    match process:
        case Constant(rate_per_s=rate) | Poisson(rate_per_s=rate):
            return f"{rate:,.0f} requests/s"
        case Ramp():
            return f"{process.from_per_s:,.0f} to {process.to_per_s:,.0f} requests/s"
        case Burst():
            return f"bursts of {process.size:,}"
        case Replay():
            return f"replay of {Path(process.file).name}"
        case None:
            return "no load"


class _Strict(yaml.SafeLoader):
    """YAML in which a key given twice is an error."""


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if key in found:
            raise ScenarioError(f"line {key_node.start_mark.line + 1}: {key}: given twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path, known: frozenset[str]) -> Scenario:
    """The scenario in that file. `known` are the contenders there are. Raises ScenarioError."""
    try:
        return parse(path.read_text(), path.stem, known, path.parent)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def parse(text: str, name: str, known: frozenset[str], folder: Path = FOLDER) -> Scenario:
    """The scenario in a text; files that it names lie in `folder`. Raises ScenarioError."""
    try:
        found = yaml.load(text, Loader=_Strict)
    except yaml.YAMLError as error:
        raise ScenarioError(f"not valid YAML: {error}") from None
    try:
        scenario = msgspec.convert(found, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(_told(str(error))) from None
    _check(scenario, known)
    return msgspec.structs.replace(scenario, name=name, arrivals=_located(scenario.arrivals, folder))


def _told(message: str) -> str:
    """msgspec's message with the field first: "Expected `int`, got `str` - at `$.request.chunks`"."""
    text, _, place = message.partition(" - at `$")
    field = place.rstrip("`").lstrip(".")
    return f"{field}: {text}" if field else message


def _check(scenario: Scenario, known: frozenset[str]) -> None:
    loads = [n for n in ("arrivals", "users", "closed") if getattr(scenario, n) is not None]
    if len(loads) != 1:
        raise ScenarioError(f"exactly one of arrivals, users, closed is needed, not {' and '.join(loads) or 'none'}")
    if unknown := [c for c in scenario.contenders if c not in known]:
        raise ScenarioError(f"contenders: no contender {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if scenario.closed and scenario.stalls:
        raise ScenarioError("stalls: a closed loop cannot show a stall; use arrivals")
    if late := [s for s in scenario.stalls if s.at_s >= scenario.seconds]:
        raise ScenarioError(f"stalls: at_s {late[0].at_s:g} is after the end ({scenario.seconds:g} s)")
    if scenario.users is not None:
        try:
            user_classes.find(scenario.users.name)
        except ValueError as error:
            raise ScenarioError(f"users.class: {error}") from None


def _located(process: AnyProcess | None, folder: Path) -> AnyProcess | None:
    if not isinstance(process, Replay):
        return process
    file = folder / process.file
    if not file.is_file():
        raise ScenarioError(f"arrivals.file: no file {file}")
    return msgspec.structs.replace(process, file=str(file))
