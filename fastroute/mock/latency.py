"""How long one answer takes: drawn per request, from the endpoint's own seeded generator."""

import math
from random import Random

import msgspec

from fastroute.mock.schema import LatencySpec


class Pace(msgspec.Struct, frozen=True):
    """The timing of one answer, in seconds after the request arrived."""

    first_s: float  # the first token
    tpot_s: float  # each token after it
    headers_s: float  # status line and opening events of a stream; never after the first token

    def due_s(self, token: int) -> float:
        """When token number `token`, from 0, is ready."""
        return self.first_s + token * self.tpot_s

    def slowed(self, factor: float) -> "Pace":
        """Everything times `factor`."""
        return Pace(self.first_s * factor, self.tpot_s * factor, self.headers_s * factor)

    def dripping(self, tpot_s: float) -> "Pace":
        """The same start, another time per token."""
        return Pace(self.first_s, tpot_s, self.headers_s)

    def starting(self, factor: float) -> "Pace":
        """First token and headers later by `factor`, the same time per token."""
        return Pace(self.first_s * factor, self.tpot_s, self.headers_s * factor)


class Tail(msgspec.Struct, frozen=True):
    """What a fault makes of the spread of TTFT; the median stays. `straggler_ratio` None: as configured."""

    sigma_factor: float = 1.0
    straggler_ratio: float | None = None


USUAL = Tail()


class PaceSource:
    """Draws paces. The same number of draws per request, so that runs with the same seed see the same luck."""

    def __init__(self, spec: LatencySpec, rng: Random) -> None:
        self._spec, self._rng = spec, rng

    def draw(self, input_tokens: int, in_flight: int, tail: Tail = USUAL) -> Pace:
        """The pace of a request that finds `in_flight` others before it."""
        spec = self._spec
        straggles = self._rng.random() < (spec.straggler_ratio if tail.straggler_ratio is None else tail.straggler_ratio)
        scatter = math.exp(spec.sigma * tail.sigma_factor * self._rng.gauss(0.0, 1.0))
        scatter *= spec.straggler_factor if straggles else 1.0
        input_ms = spec.per_input_token_ms * input_tokens
        first_ms = (spec.ttft_ms + input_ms) * scatter if spec.scatter_all else spec.ttft_ms * scatter + input_ms
        headers_ms = first_ms if spec.headers_ms is None else min(spec.headers_ms, first_ms)
        tpot_ms = spec.tpot_ms * (math.exp(spec.tpot_sigma * self._rng.gauss(0.0, 1.0)) if spec.tpot_sigma else 1.0)
        return Pace(first_ms / 1000, tpot_ms / 1000, headers_ms / 1000).slowed(self._load(in_flight))

    def _load(self, in_flight: int) -> float:
        knee = self._spec.knee_in_flight
        return 1.0 if knee is None else 1.0 + self._spec.slope_ratio * max(0, in_flight + 1 - knee)
