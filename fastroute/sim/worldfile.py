"""The world file: how each endpoint really behaves, and what goes wrong when.

Rules. Strict: an unknown key, a wrong type or range, a fault without what its kind needs is a problem with file, line and
column, as in a configuration. Endpoints carry the names of the configuration; `default` speaks for those not named. Times of
faults are seconds from the start; with `period_s` the whole schedule repeats. `jitter_s` moves an onset by up to so much
either way, differently in every seed, so that intervals cover the luck of the moment as well.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from fastroute.config.check import Checker
from fastroute.config.nodes import Node
from fastroute.config.problems import START, ConfigError, Problems, closest, listed
from fastroute.config.section import Name, Section, Share
from fastroute.config.yaml_strict import parse_yaml

SHIPPED = Path(__file__).with_name("worlds")

Ms = Annotated[float, Meta(ge=0, le=600_000)]
Seconds = Annotated[float, Meta(ge=0, le=10_000_000)]
Factor = Annotated[float, Meta(ge=0, le=10_000)]
Sigma = Annotated[float, Meta(ge=0, le=3)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Step = Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]
Kind = Literal[
    "brownout", "spike", "cold_start", "slow_drip", "down", "gray", "cut",
    "rate_cut", "tail_shape", "price_change", "clock_step",
]  # fmt: skip
How = Literal["refuse", "error", "hang"]

NEEDS: dict[str, tuple[str, ...]] = {
    "brownout": ("factor",),
    "spike": ("factor",),
    "cold_start": ("factor",),
    "slow_drip": ("factor",),
    "down": ("how",),
    "gray": ("share", "how"),
    "cut": ("share",),
    "rate_cut": ("factor",),
    "tail_shape": ("factor", "share"),
    "price_change": ("factor",),
    "clock_step": ("step_s",),
}
"""What each kind of fault must say of `factor`, `share`, `how`, `step_s`; it may say none of the others."""


class EndpointWorld(Section, frozen=True):
    """One endpoint's true behaviour. TTFT is log-normal around `ttft_ms` + `per_input_token_ms` x input tokens."""

    ttft_ms: Ms = 500.0  # median, for no input
    per_input_token_ms: Ms = 0.0
    sigma: Sigma = 0.3
    straggler_ratio: Share = 0.0  # so many take `straggler_factor` times as long
    straggler_factor: Factor = 5.0
    tpot_ms: Ms = 12.0  # median time per output token
    tpot_sigma: Sigma = 0.1
    knee_in_flight: Count | None = None  # None: load does not slow it down
    slope_ratio: Factor = 0.1  # all times grow by this share per request in flight beyond the knee
    requests_per_minute: Count | None = None  # beyond: 429 with Retry-After; None: no limit
    tokens_per_minute: Count | None = None  # input and output; None: no limit
    tells_limits: bool = False  # in the headers of every reply, as OpenAI does
    cancel_stops_billing: bool = True  # False: goes on generating, and charging, when the caller has left
    price_factor: Factor = 1.0  # of what the configuration believes


class Fault(Section, frozen=True):
    """Something that goes wrong from `from_s` for `for_s`. `endpoints` empty: nobody in particular (a clock step)."""

    kind: Kind
    from_s: Seconds
    for_s: Seconds = 0.0
    endpoints: tuple[Name, ...] = ()
    jitter_s: Seconds = 0.0
    factor: Factor | None = None
    share: Share | None = None
    how: How | None = None
    step_s: Step | None = None
    label: Annotated[str, Meta(min_length=1, max_length=80)] | None = None

    @property
    def name(self) -> str:
        return self.label or f"{self.kind} {'+'.join(self.endpoints)}".strip()


class World(Section, frozen=True):
    """All endpoints, and the schedule of faults."""

    endpoints: dict[Name, EndpointWorld] = msgspec.field(default_factory=dict)
    default: EndpointWorld | None = None  # for endpoints of the configuration that are not named; None: each must be
    faults: tuple[Fault, ...] = ()
    period_s: Annotated[float, Meta(ge=1, le=10_000_000)] | None = None
    about: str = ""

    def of(self, endpoint: str) -> EndpointWorld:
        """Raises KeyError for an endpoint that the world does not know."""
        found = self.endpoints.get(endpoint, self.default)
        if found is None:
            raise KeyError(endpoint)
        return found


def find_world(name: str) -> Path:
    """A path as it is; a bare name is one of the shipped worlds."""
    shipped = SHIPPED / f"{name}.yaml"
    return shipped if shipped.exists() and not Path(name).exists() else Path(name)


def load_world(path: str | Path) -> World:
    """Reads a world file. Raises `ConfigError` with every problem found."""
    problems = Problems(str(path))
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.add(START, f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}")
        raise ConfigError(problems.sorted()) from None
    return parse_world(text, str(path))


def parse_world(text: str, filename: str = "world.yaml") -> World:
    """Checks a text. Raises `ConfigError` with every problem found."""
    problems = Problems(filename)
    root = parse_yaml(text, problems)
    if root is None:
        raise ConfigError(problems.sorted())
    plain = Checker(problems).check(root, inspect.type_info(World), "")
    _check_faults(root, problems)
    problems.raise_if_any()
    return msgspec.convert(plain, World)


def _check_faults(root: Node, problems: Problems) -> None:
    """What types cannot say of the schedule."""
    listed_faults = root.get("faults")
    named = root.get("endpoints")
    known = {name for name, _ in named.items()} if named else set()
    by_default = root.get("default") is not None
    period = root.get("period_s")
    for i, fault in enumerate(listed_faults.elements() if listed_faults else ()):
        if not isinstance(fault.value, dict):
            continue
        place = f"faults[{i}]"
        _check_needs(fault, place, problems)
        _check_names(fault, place, known, by_default, problems)
        _check_rate_limit(fault, place, root, problems)
        end_s = sum(_number(fault.get(key)) for key in ("from_s", "for_s", "jitter_s"))
        if period is not None and end_s > _number(period) > 0:
            problems.add(fault.spot, f"{place}: ends at {end_s:g} s, after the schedule's period of {_number(period):g} s")


def _check_needs(fault: Node, place: str, problems: Problems) -> None:
    kind = fault.get("kind")
    if kind is None or not isinstance(kind.value, str) or kind.value not in NEEDS:
        return
    needed = NEEDS[kind.value]
    for key in ("factor", "share", "how", "step_s"):
        if key in needed and fault.get(key) is None:
            problems.add(fault.spot, f"{place}: a {kind.value} needs {key!r}")
        elif key not in needed and fault.get(key) is not None:
            problems.add(fault.key_spot(key), f"{place}: {key!r} means nothing to a {kind.value}")
    lasting = kind.value != "clock_step"
    if lasting and (fault.get("for_s") is None or not _number(fault.get("for_s"))):
        problems.add(fault.spot, f"{place}: a {kind.value} needs 'for_s', more than 0")
    if lasting == (fault.get("endpoints") is None):
        problems.add(fault.spot, f"{place}: a {kind.value} {'needs' if lasting else 'has no'} 'endpoints'")


def _check_names(fault: Node, place: str, known: set[str], by_default: bool, problems: Problems) -> None:
    names = fault.get("endpoints")
    for name in names.elements() if names else ():
        if isinstance(name.value, str) and name.value not in known and not by_default:
            message = f"{place}.endpoints: there is no endpoint {name.value!r} (known: {listed(sorted(known))})"
            problems.add(name.spot, message, closest(name.value, known))


def _check_rate_limit(fault: Node, place: str, root: Node, problems: Problems) -> None:
    kind, names = fault.get("kind"), fault.get("endpoints")
    if kind is None or kind.value != "rate_cut" or names is None:
        return
    for name in names.elements():
        spec = root.get("endpoints", str(name.value)) or root.get("default")
        if spec is not None and spec.get("requests_per_minute") is None and spec.get("tokens_per_minute") is None:
            problems.add(name.spot, f"{place}.endpoints: {name.value} has no requests_per_minute or tokens_per_minute to cut")


def _number(node: Node | None) -> float:
    value: Any = None if node is None else node.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
