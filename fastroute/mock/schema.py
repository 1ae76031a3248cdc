"""The config of `fastroute mock`: which providers to stand in for, how fast, how dear, how reliable.

Rules. Strict: an unknown member, a wrong type or a value out of range is an error that names its place. One YAML file is one
`MockConfig`. Every endpoint listens on a port of its own (0: any free one). With `shared_port` set, each is also reachable
there under `/{name}/...`. Latencies are log-normal: `ttft_ms` is the median, `sigma` the standard deviation of its logarithm.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from fastroute.core.money import from_usd, per_token
from fastroute.mock.faults import FaultSpec

_NonNegative = Annotated[float, msgspec.Meta(ge=0)]
_AtLeastOne = Annotated[float, msgspec.Meta(ge=1)]
_Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$")]


class MockConfigError(ValueError):
    """The config cannot be used; the message names the file and the member."""


class LatencySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast an endpoint is. TTFT = ttft_ms * e^(sigma * N(0,1)) + per_input_token_ms * input tokens, then times the load.

    With `scatter_all` the sum is scattered (and straggles), not `ttft_ms` alone.
    """

    ttft_ms: _NonNegative = 300.0
    sigma: _NonNegative = 0.25
    per_input_token_ms: _NonNegative = 0.0
    scatter_all: bool = False
    tpot_ms: _NonNegative = 15.0  # time per output token after the first; 0: the rest comes at once
    tpot_sigma: _NonNegative = 0.0  # of that time, from answer to answer; log-normal too
    headers_ms: _NonNegative | None = None  # status line and role chunk of a stream; None: with the first token
    straggler_ratio: _Ratio = 0.0
    straggler_factor: _AtLeastOne = 10.0
    knee_in_flight: Annotated[int, msgspec.Meta(ge=0)] | None = None  # None: load does not slow it down
    slope_ratio: _NonNegative = 0.1  # all latencies grow by this share per request in flight above the knee


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long answers are: log-normal around `mean` (its median where sigma > 0). `max_tokens` of the request cuts them."""

    mean: _Positive = 60
    sigma: _NonNegative = 0.0
    as_asked: bool = False  # a prompt with `#reply=N#` in it gets N tokens: for replays of recorded sizes


class PriceSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an endpoint charges. `cached_input_usd_per_mtok` None: cached input costs as much as other input."""

    input_usd_per_mtok: _NonNegative = 0.0
    output_usd_per_mtok: _NonNegative = 0.0
    cached_input_usd_per_mtok: _NonNegative | None = None
    request_usd: _NonNegative = 0.0

    @property
    def per_request_pusd(self) -> int:
        return from_usd(self.request_usd)

    def charge_pusd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """What tokens cost, exactly, in pico-dollars; `cached_tokens` are part of `input_tokens`."""
        full = per_token(self.input_usd_per_mtok)
        cached = full if self.cached_input_usd_per_mtok is None else per_token(self.cached_input_usd_per_mtok)
        fresh_tokens = input_tokens - cached_tokens
        return full * fresh_tokens + cached * cached_tokens + per_token(self.output_usd_per_mtok) * output_tokens


class LimitsSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond these an endpoint answers 429. None: no limit."""

    max_in_flight: _Positive | None = None
    requests_per_minute: _Positive | None = None  # a sliding window, with Retry-After
    burst_s: Annotated[float, msgspec.Meta(gt=0)] | None = None  # a bucket of so many seconds' worth, in place of the window


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider endpoint to stand in for."""

    name: _Name
    dialect: Literal["openai_chat", "anthropic_messages"] = "openai_chat"
    port: _Port = 0
    models: tuple[str, ...] = ()  # empty: any model name is served
    api_key: str | None = None  # None: any key, or none, will do
    strict: bool = True  # refuse unknown request members, as OpenAI and Anthropic do
    latency: LatencySpec = LatencySpec()
    output_tokens: OutputSpec = OutputSpec()
    price: PriceSpec = PriceSpec()
    cached_input_ratio: _Ratio = 0.0  # share of the prompt reported (and charged) as cached
    bills_after_cancel: bool = False  # goes on generating and charging when the client has gone
    limits: LimitsSpec = LimitsSpec()
    canned: bool = False  # parse nothing, answer the same bytes every time, keep no log: for benches
    faults: tuple[FaultSpec, ...] = ()


class MockConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All endpoints of one mock process."""

    endpoints: tuple[EndpointSpec, ...]
    seed: int = 0
    host: str = "127.0.0.1"
    control_port: _Port = 0
    shared_port: _Port | None = None  # None: no shared port
    log_requests: _Positive = 10_000  # how many requests the log keeps
    log_bodies: bool = False  # keep each request's body in the log

    def __post_init__(self) -> None:
        names = [e.name for e in self.endpoints]
        if not names:
            raise ValueError("no endpoints")
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"endpoint names must differ: {', '.join(doubled)}")
        ports = [p for p in (self.control_port, self.shared_port, *(e.port for e in self.endpoints)) if p]
        if shared := sorted({p for p in ports if ports.count(p) > 1}):
            raise ValueError(f"ports must differ: {shared}")


def mock_config(data: Any, source: str = "mock config") -> MockConfig:
    """A config from plain data, e.g. parsed YAML. `endpoints` is a list, or a mapping from name to the rest.

    Raises `MockConfigError` naming `source` and the member.
    """
    try:
        return msgspec.convert(_listed(data), MockConfig)
    except msgspec.ValidationError as error:
        raise MockConfigError(f"{source}: {error}") from None


def load_mock_config(path: str | Path) -> MockConfig:
    """The config in a YAML file. Raises `MockConfigError`, or `OSError` where the file cannot be read."""
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise MockConfigError(f"{path}: not YAML: {error}") from None
    return mock_config(data, str(path))


def _listed(data: Any) -> Any:
    """The same data with `endpoints` as a list."""
    if not isinstance(data, dict) or not isinstance(data.get("endpoints"), dict):
        return data
    named = [{"name": name, **(spec or {})} for name, spec in data["endpoints"].items()]
    return {**data, "endpoints": named}
