"""All that is known about one endpoint, and the one attempt in flight as the statistics see it.

Theory of operation. What went well is learned in full up to `LEARNED` times in a quarter of a second; beyond, it is only
counted. Which ones come first in a quarter of a second says nothing about how long they took, so quantiles are those of
all; and a percentile of some 5,000 samples (128 a second, remembered for half a minute) has no use for more. Failures,
waits past the objective and counts are never thinned.
"""

import msgspec

from fastroute.core.types import Endpoint, TailTable
from fastroute.stats.export import LatencyHistogram
from fastroute.stats.kept import KeptEndpoint
from fastroute.stats.latency import Bound, FirstContent
from fastroute.stats.lengths import Lengths, Pool
from fastroute.stats.outcomes import OutcomeRing
from fastroute.stats.pace import Pace

SCALARS_KEEP_S = 0.25
LEARNED, LEARNED_S = 32, 0.25


class Flight:
    """One attempt in flight. Made by `Scoreboard.begin`; it ends once, by `finish` or `abandon`."""

    __slots__ = (
        "bound",
        "ended",
        "first_content_s",
        "input_tokens",
        "overdue",
        "patience_s",
        "record",
        "started_s",
        "stream",
        "thinned",
    )

    def __init__(
        self, record: "EndpointRecord", started_s: float, input_tokens: int, patience_s: float | None, stream: bool
    ) -> None:
        self.record = record
        self.started_s = started_s
        self.input_tokens = input_tokens
        self.patience_s = patience_s
        self.stream = stream
        self.first_content_s: float | None = None
        self.overdue = self.thinned = False
        self.ended = False
        self.bound: Bound | None = None

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.record.endpoint.name


class Scalars(msgspec.Struct, frozen=True):
    """The numbers of a view that change slowly, computed once per change or quarter of a second."""

    base_s: float
    per_token_s: float
    tpot_s: float
    output_points: tuple[tuple[float, float], ...]
    output_tokens: float
    effective_n: float
    long_ratio: float
    rate_per_s: float


class EndpointRecord:
    """One endpoint's statistics. Touched by the loop's thread only; the scoreboard sees to that."""

    __slots__ = (
        "_counted",
        "_counted_s",
        "_scalars",
        "_scalars_s",
        "endpoint",
        "first",
        "in_flight",
        "lengths",
        "outcomes",
        "pace",
        "sampled_s",
        "tail",
        "total_export",
        "ttft_export",
    )

    def __init__(self, endpoint: Endpoint, pool: Pool) -> None:
        self.endpoint = endpoint
        self.pace = Pace(endpoint.prior_tpot_s)
        self.first = FirstContent(endpoint.prior_ttft_s, self.pace)
        self.lengths = Lengths(pool)
        self.outcomes = OutcomeRing()
        self.ttft_export, self.total_export = LatencyHistogram(), LatencyHistogram()
        self.in_flight = 0
        self._counted, self._counted_s = 0, 0.0  # what went well, since
        self.sampled_s: float | None = None
        self.tail: TailTable = self.first.table(0.0)
        self._scalars: Scalars | None = None
        self._scalars_s = 0.0

    def refresh(self, now_s: float) -> None:
        """Makes the tail table anew where it has changed."""
        self.pace.refresh()
        if self.first.window.stale(now_s):
            self.tail = self.first.table(now_s)

    def scalars(self, now_s: float) -> Scalars:
        if self._scalars is None or not 0.0 <= now_s - self._scalars_s < SCALARS_KEEP_S:
            self._scalars, self._scalars_s = self._compute(now_s), now_s
        return self._scalars

    def kept(self, now_s: float) -> KeptEndpoint | None:
        """For the next run. None: too little is known."""
        first = self.first.kept(now_s)
        if first is None or self.sampled_s is None:
            return None
        age_s = max(0.0, now_s - self.sampled_s)
        return KeptEndpoint(place_of(self.endpoint), age_s, *first, self.pace.kept(now_s), self.lengths.kept())

    def recall(self, kept: KeptEndpoint, gap_s: float, now_s: float) -> None:
        """Begins with what was kept `gap_s` ago."""
        self.first.recall((kept.ttft, kept.slope, kept.tail), now_s - gap_s, now_s)
        self.pace.recall(kept.pace, now_s - gap_s)
        self.lengths.recall(kept.lengths)
        self.sampled_s = now_s - gap_s - kept.age_s
        self.tail, self._scalars = self.first.table(now_s), None

    def suspected(self) -> None:
        """An episode of trouble begins: the long run as it stands is set aside."""
        self.first.mark()
        self.pace.mark()

    def recovered(self) -> None:
        """The episode is over: back to what was set aside."""
        self.first.restore()
        self.pace.restore()
        self._scalars = None

    def saw_first_content(self, flight: Flight, now_s: float) -> None:
        if self._enough(now_s) and flight.bound is None:
            flight.thinned = True
            return
        value_s = now_s - flight.started_s
        self.first.observe(value_s, flight.input_tokens, now_s, flight.bound)
        self._sampled_ttft(flight, value_s, now_s)

    def saw_stream_end(self, flight: Flight, output_tokens: int | None, now_s: float) -> None:
        """A stream ended well."""
        if flight.thinned:
            return
        self.total_export.record_s(now_s - flight.started_s)
        self._sampled(now_s)
        if output_tokens is None:
            return
        self.lengths.observe(output_tokens)
        if flight.first_content_s is not None:
            self.pace.observe_stream(now_s - flight.first_content_s, output_tokens, now_s)

    def saw_whole(self, flight: Flight, output_tokens: int | None, now_s: float) -> None:
        """A reply seen only as a whole ended well: infers its TTFT."""
        if flight.thinned or (self._enough(now_s) and flight.bound is None):
            return
        total_s = max(0.0, now_s - flight.started_s)
        self.total_export.record_s(total_s)
        if output_tokens is not None:
            self.lengths.observe(output_tokens)
        self.pace.observe_whole(total_s, output_tokens, now_s)
        tokens = output_tokens if output_tokens is not None else self.scalars(now_s).output_tokens
        value_s = self.first.observe_whole(total_s, tokens, flight.input_tokens, now_s, flight.bound)
        self._sampled_ttft(flight, value_s, now_s)

    def _enough(self, now_s: float) -> bool:
        """Counts one that went well; whether so many were learned of late that this one need not be."""
        if 0.0 <= now_s - self._counted_s < LEARNED_S:
            self._counted += 1
            return self._counted > LEARNED
        if self._counted > LEARNED:
            self.first.window.rate.record(now_s, float(self._counted - LEARNED))
        self._counted, self._counted_s = 1, now_s
        return False

    def saw_waiting(self, flight: Flight, now_s: float) -> None:
        """No first content so far: a censored sample, in place of the one before."""
        waited_s = now_s - flight.started_s
        if not flight.stream:
            waited_s = self.pace.split(waited_s, self.scalars(now_s).output_tokens, now_s)
        flight.bound = self.first.exceeds(waited_s, flight.input_tokens, now_s, flight.bound)
        self._sampled(now_s)

    def saw_pace(self, after_first_s: float, output_tokens: int, now_s: float) -> None:
        """Part of a stream: so many tokens so long after first content."""
        self.pace.observe_stream(after_first_s, output_tokens, now_s)
        self._sampled(now_s)

    def _sampled_ttft(self, flight: Flight, value_s: float, now_s: float) -> None:
        flight.bound = None
        self.ttft_export.record_s(value_s)
        self._sampled(now_s)

    def _sampled(self, now_s: float) -> None:
        self.sampled_s = now_s
        self._scalars = None

    def _compute(self, now_s: float) -> Scalars:
        base_s, per_token_s = self.first.predicted(now_s)
        points = self.lengths.points()
        window = self.first.window
        return Scalars(
            base_s,
            per_token_s,
            self.pace.tpot_s(now_s),
            points,
            sum(tokens * weight for tokens, weight in points),
            window.effective_n(now_s),
            self.first.long_ratio(now_s),
            window.rate.per_s(now_s),
        )


def place_of(endpoint: Endpoint) -> tuple[str, str, str | None, str]:
    """Which server and model it is, whatever its name: endpoints at one place are the same."""
    return endpoint.base_url, endpoint.model, endpoint.region, endpoint.profile.dialect
