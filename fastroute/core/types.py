"""The nouns of fastroute, in the field's standard terms. See docs/glossary.md.

Records of one request are `gc=False`: they hold no cycles, and thousands of remembered ones would slow every collection.
Units are in the names: `_s` seconds, `_pusd` pico-dollars, `_tokens`, `_bytes`, `_ratio` in 0..1. Unknown is None.
"""

import enum
from bisect import bisect_left
from typing import Any

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.money import Pusd

# --- what the operator declares -------------------------------------------------------------------------------------


class Price(msgspec.Struct, frozen=True):
    """Prices of one model, in pico-dollars per token (and per request). None: the provider has no such price."""

    input_pusd: int
    output_pusd: int
    cached_input_pusd: int | None = None
    cache_write_pusd: int | None = None
    request_pusd: int = 0
    reasoning_pusd: int | None = None  # None: reasoning costs what other output costs
    tiers: tuple["PriceTier", ...] = ()  # by rising `above_tokens`

    def at(self, input_tokens: int) -> "Price | PriceTier":
        """The prices of a request with so long a prompt: those of the highest tier that it passes, for all its tokens."""
        if self.tiers:
            for tier in reversed(self.tiers):
                if input_tokens > tier.above_tokens:
                    return tier
        return self


class PriceTier(msgspec.Struct, frozen=True):
    """Prices of requests whose prompt has more than `above_tokens`. None: as in `Price`."""

    above_tokens: int
    input_pusd: int
    output_pusd: int
    cached_input_pusd: int | None = None
    cache_write_pusd: int | None = None
    reasoning_pusd: int | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a model can do. None: not known, so not held against it."""

    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None


class Departures(msgspec.Struct, frozen=True):
    """What a provider does not take of its dialect's request, and what it calls otherwise."""

    refused: tuple[str, ...] = ()  # members that shape the answer: a request that uses one is not put to it
    left_out: tuple[str, ...] = ()  # members that leave the answer as it is
    renamed: tuple[tuple[str, str], ...] = ()
    left_out_of_messages: tuple[str, ...] = ()
    nine_character_calls: bool = False  # ids of tool calls have nine letters and digits
    alternating_roles: bool = False  # system messages first, then user and assistant by turns
    prefix_member: str | None = None  # marks a last message of the assistant's as the beginning of the answer


class Profile(msgspec.Struct, frozen=True):
    """How one provider speaks its dialect: the departures that a dialect's one implementation must know. A preset is one."""

    name: str
    dialect: str
    chat_path: str
    auth: str = "bearer"  # bearer | x-api-key | api-key | none
    headers: tuple[tuple[str, str], ...] = ()
    max_tokens_field: str = "max_tokens"  # or max_completion_tokens; the client's other spelling is renamed
    stream_usage: bool = True  # accepts stream_options.include_usage
    reasoning_in_output: bool = True  # completion_tokens already contain the reasoning tokens (xAI: they do not)
    done_sentinel: bool = True  # ends its streams with [DONE]
    developer_role: bool = False  # knows the role `developer`
    cancel_stops_billing: bool | None = None  # None: not known, so assumed not to
    departures: Departures | None = None  # None: it takes whatever its dialect knows


class Endpoint(msgspec.Struct, frozen=True):
    """One (provider, base URL, model, region, key) that can serve a request. `key` is secret: never printed."""

    name: str
    provider: str
    profile: Profile
    base_url: str  # without a trailing slash
    model: str
    key: str | None = None
    region: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    price: Price | None = None
    skills: dict[str, float] = {}
    weight: float = 1.0
    max_in_flight: int | None = None
    requests_per_minute: float | None = None  # of the account and model: shared by endpoints that share both
    tokens_per_minute: float | None = None
    capabilities: Capabilities = Capabilities()
    prior_ttft_s: float | None = None  # what the operator expects; None: the built-in prior
    prior_tpot_s: float | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.provider}/{self.model})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # rich, which the command line uses, does not ask __repr__
        return [("name", self.name), ("provider", self.provider), ("model", self.model)]


class Objective(msgspec.Struct, frozen=True):
    """What a route promises: at least `target` of its requests have first content and end in time. None: no such promise."""

    ttft_s: float | None = None
    total_s: float | None = None
    target: float = 0.99


class HedgeRule(msgspec.Struct, frozen=True):
    """How many duplicates a route may send, and what they may cost."""

    max_ratio: float = 0.05  # of its requests; 0: none
    max_spend_ratio: float = 0.05  # of what it spends


class Route(msgspec.Struct, frozen=True):
    """The name that a client puts in `model`: an objective, a deadline, and tiers of endpoints to meet them with."""

    name: str
    tiers: tuple[tuple[Endpoint, ...], ...]
    objective: Objective = Objective()
    deadline_s: float = 10.0
    deadline_covers: str = "last_byte"  # or first_content: a committed stream may then outlive the deadline
    max_attempts: int = 3
    first_content_timeout_s: float | None = None  # None: derived per attempt from the time left
    stall_timeout_s: float | None = None  # None: derived from the endpoint's pace
    strategy: str = "cost_slo"
    on_infeasible: str = "mildest"  # mildest | cheapest | reject
    hedge: HedgeRule | None = None  # None: the usual limits where the route has an objective, no hedges where it has none


# --- what one request asks ------------------------------------------------------------------------------------------


class Needs(msgspec.Struct, frozen=True, gc=False):
    """What a request needs from the model that answers it."""

    vision: bool = False
    tools: bool = False
    json_schema: bool = False


class Overrides(msgspec.Struct, frozen=True, gc=False):
    """What the client asked for in `x-fastroute-*` headers. None: the route decides."""

    route: str | None = None
    ttft_s: float | None = None
    total_s: float | None = None
    deadline_s: float | None = None
    max_cost_pusd: Pusd | None = None
    hedge: bool = True
    explain: bool = False
    tags: dict[str, str] = {}
    betas: str = ""  # `anthropic-beta` as sent, for providers that speak Anthropic's dialect


AS_CONFIGURED = Overrides()


class ChatRequest(msgspec.Struct, gc=False):
    """The head of a chat request, decoded; the members of its body carried through as the client sent them."""

    id: str
    api: str  # the client's API, e.g. openai_chat
    model: str
    fields: dict[str, msgspec.Raw]  # top-level members of the body, byte for byte
    accepted_s: float  # monotonic
    input_bytes: int
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    needs: Needs = Needs()
    overrides: Overrides = AS_CONFIGURED
    has_developer: bool = True  # False: no message has the role `developer`, so nobody need look for one

    @property
    def input_tokens(self) -> int:
        """Estimated prompt tokens: about four bytes each. For forecasts only; bills use the provider's usage."""
        return max(1, self.input_bytes // 4)


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one reply. `input_tokens` contain the cached ones, `output_tokens` the reasoning. None: not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False  # counted by us, not reported by the provider


# --- what is known about an endpoint --------------------------------------------------------------------------------


class TailTable(msgspec.Struct, frozen=True):
    """A survival table: `survival[i]` = P(ratio > bounds[i]). Refreshed on a tick, read with one bisect."""

    bounds: tuple[float, ...]
    survival: tuple[float, ...]

    def p_over(self, ratio: float) -> float:
        """P(observed / predicted > ratio). 1.0 at or below the first bound's left, the last value beyond the range."""
        if ratio <= 0.0:
            return 1.0
        i = bisect_left(self.bounds, ratio)
        return self.survival[min(i, len(self.survival) - 1)]

    def quantile(self, q: float) -> float:
        """The smallest bound that a share `q` of ratios does not exceed."""
        survival, beyond = self.survival, 1.0 - q
        low, high = 0, len(survival) - 1
        while low < high:  # a bisect: the table falls
            middle = (low + high) >> 1
            if survival[middle] > beyond:
                low = middle + 1
            else:
                high = middle
        return self.bounds[low]


class BreakerState(enum.StrEnum):
    """Closed lets requests flow, open refuses them, half-open lets one probe through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class EndpointView(msgspec.Struct, frozen=True, gc=False):
    """Frozen statistics of one endpoint, as of one instant. Policy reads these and nothing else."""

    endpoint: Endpoint
    ttft_tail: TailTable  # of observed TTFT / predicted TTFT
    ttft_base_s: float  # predicted TTFT = base + per_token * input tokens
    ttft_per_token_s: float
    tpot_s: float  # time per output token after the first content
    output_tokens: float  # expected length of an answer
    p_fail: float  # share of recent attempts that failed, 429 apart
    in_flight: int = 0
    samples: int = 0  # TTFT samples ever seen
    effective_n: float = 0.0  # decayed sample count behind the tail table
    age_s: float | None = None  # since the last sample; None: never
    breaker: BreakerState = BreakerState.CLOSED
    suspect: bool = False
    admits: bool = True  # breaker, suspect gate and in-flight limit would let one more in
    gate_left_s: float = 0.0  # rate-limit gate: seconds until it may be used again
    goods: int = 0  # of a suspect: good outcomes in a row
    crowd_limit: int | None = None  # it has as many in flight as experience says are good for it; None: fewer, or no matter
    paced_s: float = 0.0  # its rate limits have room for the next request so many seconds from now
    output_points: tuple[tuple[float, float], ...] = ()  # answer lengths as (tokens, weight); empty: spread around the mean
    ttft_long_ratio: float = 1.0  # long-run predicted TTFT / predicted TTFT
    rate_per_s: float = 0.0  # recent samples per second

    def predicted_ttft_s(self, input_tokens: int) -> float:
        return self.ttft_base_s + self.ttft_per_token_s * input_tokens

    def ttft_quantile_s(self, q: float, input_tokens: int) -> float:
        return self.ttft_tail.quantile(q) * self.predicted_ttft_s(input_tokens)


# --- what the policy answers ----------------------------------------------------------------------------------------


class Situation(msgspec.Struct, frozen=True, gc=False):
    """Everything a strategy may look at when it ranks the endpoints of one tier for one request."""

    views: tuple[EndpointView, ...]
    objective: Objective
    elapsed_s: float  # since the request was accepted
    left_s: float  # until its deadline
    input_tokens: int
    max_output_tokens: int | None = None
    stream: bool = True
    needs: Needs = Needs()
    max_cost_pusd: Pusd | None = None
    on_infeasible: str = "mildest"
    turn: int = 0  # how many requests the route has had before this one; attempts of one request share it
    deadline_covers_reply: bool = True  # False: once content has come, the reply may outlive the deadline
    may_probe: bool = True  # False: the client wants no duplicates, so nothing could protect a probe


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An endpoint that may serve, with what is expected of it."""

    view: EndpointView
    p_miss: float  # P(this request misses its objective there)
    cost_pusd: Pusd | None  # expected; None: unpriced
    score: float  # lower is better; its meaning is the strategy's own

    @property
    def endpoint(self) -> Endpoint:
        return self.view.endpoint


class Exclusion(msgspec.Struct, frozen=True, gc=False):
    """An endpoint that may not serve, and why, in words an operator understands."""

    endpoint: Endpoint
    reason: str
    gate_left_s: float | None = None  # when it is only a matter of time


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Endpoints best first; every endpoint of the tier is ranked or excluded with a reason."""

    strategy: str
    ranked: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]
    why: str
    lasts: bool = False  # neither chance nor load had a say but among the `tied`: the same views would give the same again
    tied: int = 1  # so many of the first ranked are equally good; the one with fewest in flight is taken
    probe: bool = False  # the first ranked is there to be measured again, not because it is best


# --- what happened --------------------------------------------------------------------------------------------------


class Role(enum.StrEnum):
    """Why an attempt was sent."""

    PRIMARY = "primary"
    HEDGE = "hedge"
    RETRY = "retry"
    FAILOVER = "failover"
    ESCALATION = "escalation"
    PROBE = "probe"
    SHADOW = "shadow"


class Verdict(enum.StrEnum):
    """What to do after an attempt."""

    ACCEPT = "accept"
    RETRY = "retry"
    ESCALATE = "escalate"
    GIVE_UP = "give_up"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The classified end of one attempt. `committed`: bytes of it have reached the client, so nothing may follow it."""

    fault: Fault | None = None
    committed: bool = False
    status: int | None = None  # upstream HTTP status
    ttft_s: float | None = None  # send -> first content; None where there was none
    usage: Usage | None = None
    body: bytes = b""  # the whole reply, in the client's format; empty for streams

    @property
    def ok(self) -> bool:
        return self.fault is None


class UpstreamRequest(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request to a provider, ready to send. Headers carry the key: never printed."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"

    def __repr__(self) -> str:
        return f"UpstreamRequest({self.method} {self.url}, {len(self.body)} bytes)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("url", self.url), ("body_bytes", len(self.body))]
