"""The scoreboard: mutable statistics of every endpoint, frozen views of them for policy.

Rules. Touched by the loop's thread only. Every flight that `begin` made ends exactly once, by `finish` or `abandon`; a
second end is ignored, so in-flight counts can neither drift nor go negative. What an attempt teaches:
- first content: one TTFT sample;
- patience passed without it (`tick`): a censored sample at that moment, once; the real value, should it come, takes its
  place;
- given up by a timeout (blame SLOW), or the client left: a censored sample of the whole wait;
- any other failure: a failure, and nothing about latency: fast errors must not make an endpoint look fast.
`view` computes no percentile: tail tables are made by `tick`, four times a second, for endpoints whose samples changed.

What can go wrong. A `tick` that is not called leaves tables at what they were; predictions (scale, pace) still move.

Source: selection notes 2.1-2.5; pitfalls 1, 4, 7, 8.
"""

from typing import NotRequired, TypedDict, Unpack

from fastroute.core.failures import Blame
from fastroute.core.types import BreakerState, Endpoint, EndpointView
from fastroute.stats.kept import OLDEST_S, VERSION, KeptBoard, age_s
from fastroute.stats.lengths import Pool
from fastroute.stats.record import EndpointRecord, Flight, place_of

__all__ = ["Ending", "Flight", "Scoreboard", "Standing"]


YOUNG_SAMPLES = 64


class Ending(TypedDict):
    """How a flight ended. `output_tokens`: as the provider counted them; None: it did not say."""

    ok: bool
    stream: bool
    output_tokens: int | None
    blame: NotRequired[Blame]


class Standing(TypedDict, total=False):
    """What others say about an endpoint right now; the default is that it is free to serve."""

    breaker: BreakerState
    suspect: bool
    admits: bool
    gate_left_s: float
    goods: int
    paced_s: float
    crowd_limit: int | None


class Scoreboard:
    """Statistics by endpoint name. An endpoint is added before it is used."""

    def __init__(self) -> None:
        self._records: dict[str, EndpointRecord] = {}
        self._lengths = Pool()
        self._waiting: dict[Flight, None] = {}  # in flight, without first content and not overdue, oldest first

    def add(self, endpoint: Endpoint) -> None:
        """Starts keeping statistics. What is known stays where the endpoint is still the same server and model."""
        known = self._records.get(endpoint.name)
        if known is None or place_of(known.endpoint) != place_of(endpoint):
            self._records[endpoint.name] = EndpointRecord(endpoint, self._lengths)
        else:
            known.endpoint = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """Forgets an endpoint. Flights still under way end as if it were there."""
        self._records.pop(endpoint.name, None)

    def begin(self, endpoint: Endpoint, now_s: float, input_tokens: int, patience_s: float | None, stream: bool = True) -> Flight:
        """An attempt is sent. `patience_s`: after so long without first content it is overdue; None: never."""
        record = self._records[endpoint.name]
        record.in_flight += 1
        flight = Flight(record, now_s, input_tokens, patience_s, stream)
        if patience_s is not None:
            self._waiting[flight] = None
        return flight

    def first_content(self, flight: Flight, now_s: float) -> None:
        """The first content token came. Only the first call counts."""
        if flight.first_content_s is None and not flight.ended:
            flight.first_content_s = now_s
            self._waiting.pop(flight, None)
            flight.record.saw_first_content(flight, now_s)

    def overlook(self, flight: Flight, now_s: float) -> None:
        """The first content token was noticed, but when it came nobody knows: nothing is learned of it."""
        if flight.first_content_s is None and not flight.ended:
            flight.first_content_s, flight.thinned = now_s, True
            self._waiting.pop(flight, None)

    def finish(self, flight: Flight, now_s: float, **end: Unpack[Ending]) -> None:
        """The attempt ended, well or not. `now_s`: when its last bytes came, not when a slow client had read them."""
        flight.stream = end["stream"]
        if end["ok"]:
            self.answered(flight, now_s, end["output_tokens"])
        elif self._land(flight):
            _failed(flight, end.get("blame", Blame.NONE), now_s)

    def answered(self, flight: Flight, now_s: float, output_tokens: int | None) -> None:
        """The attempt ended well: `finish` in short."""
        if not self._land(flight):
            return
        record = flight.record
        record.outcomes.ok(now_s)
        if flight.stream:
            record.saw_stream_end(flight, output_tokens, now_s)
        else:
            record.saw_whole(flight, output_tokens, now_s)

    def abandon(self, flight: Flight, now_s: float) -> None:
        """The client left, or the attempt was cancelled: neutral, but the wait so far is known."""
        if self._land(flight) and flight.first_content_s is None:
            flight.record.saw_waiting(flight, now_s)

    def tick(self, now_s: float) -> list[Flight]:
        """Call four times a second. Gives the flights that have become overdue, each once, and refreshes the tables."""
        late = [f for f in self._waiting if f.patience_s is not None and f.started_s + f.patience_s <= now_s]
        for flight in late:
            del self._waiting[flight]
            flight.overdue = True
            flight.record.saw_waiting(flight, now_s)
        for record in self._records.values():
            record.refresh(now_s)
        return late

    def is_young(self, flight: Flight) -> bool:
        """Whether its endpoint is so little known that every sample matters at once."""
        return flight.record.first.samples < YOUNG_SAMPLES

    def view(self, endpoint: Endpoint, now_s: float, **standing: Unpack[Standing]) -> EndpointView:
        """Frozen statistics, with what breaker, suspicion and gate say at this instant."""
        record = self._records[endpoint.name]
        known = record.scalars(now_s)
        return EndpointView(
            endpoint=endpoint,
            ttft_tail=record.tail,
            ttft_base_s=known.base_s,
            ttft_per_token_s=known.per_token_s,
            tpot_s=known.tpot_s,
            output_tokens=known.output_tokens,
            p_fail=record.outcomes.p_fail(now_s),
            in_flight=record.in_flight,
            samples=record.first.samples,
            effective_n=known.effective_n,
            age_s=None if record.sampled_s is None else max(0.0, now_s - record.sampled_s),
            output_points=known.output_points,
            ttft_long_ratio=known.long_ratio,
            rate_per_s=known.rate_per_s,
            **standing,
        )

    def usual_ttft(self, endpoint: Endpoint, now_s: float) -> tuple[float, float]:
        """(seconds, seconds per input token) to first content in the long run."""
        first = self._records[endpoint.name].first
        base_s, per_token_s = first.predicted(now_s)
        ratio = first.long_ratio(now_s)
        return base_s * ratio, per_token_s * ratio

    def drips(self, flight: Flight, output_tokens: int, now_s: float) -> None:
        """A stream under way is so slow that it will be late: its pace is learned at once."""
        if flight.first_content_s is not None and not flight.ended:
            flight.record.saw_pace(now_s - flight.first_content_s, output_tokens, now_s)

    def suspected(self, endpoint: Endpoint) -> None:
        """An episode of trouble begins: the long run as it stands is set aside."""
        self._records[endpoint.name].suspected()

    def recovered(self, endpoint: Endpoint) -> None:
        """The episode is over: what it taught is forgotten, or a long outage would keep traffic away for as long again."""
        self._records[endpoint.name].recovered()

    def describe(self, endpoint: Endpoint, now_s: float, input_tokens: int = 500) -> dict[str, object]:
        """One row for the admin page; times in ms for a prompt of `input_tokens`."""
        view = self.view(endpoint, now_s)
        return {
            "endpoint": endpoint.name,
            "ttft_ms": {q: round(view.ttft_quantile_s(p, input_tokens) * 1e3, 1) for q, p in (("p50", 0.5), ("p99", 0.99))},
            "tpot_ms": round(view.tpot_s * 1e3, 2),
            "output_tokens": round(view.output_tokens, 1),
            "p_fail": round(view.p_fail, 4),
            "n": view.samples,
            "effective_n": round(view.effective_n, 1),
            "age_s": None if view.age_s is None else round(view.age_s, 3),
            "rate_per_s": round(view.rate_per_s, 3),
            "rate_limited": self._records[endpoint.name].outcomes.limited,
            "in_flight": view.in_flight,
        }

    def export(self, endpoint: Endpoint) -> dict[str, object]:
        """Latency histograms since the start, for export. Costs milliseconds: not for the request path."""
        record = self._records[endpoint.name]
        return {"ttft": record.ttft_export.to_dict(), "total": record.total_export.to_dict()}

    def newest_s(self) -> float | None:
        """When anything was last learned; None: never."""
        return max((r.sampled_s for r in self._records.values() if r.sampled_s is not None), default=None)

    def kept(self, now_s: float, wall_s: float) -> KeptBoard:
        """For the next run: every endpoint of which enough is known."""
        found = {name: record.kept(now_s) for name, record in self._records.items()}
        return KeptBoard(VERSION, wall_s, {name: k for name, k in found.items() if k is not None}, self._lengths.kept())

    def recall(self, kept: KeptBoard, now_s: float, wall_s: float) -> list[str]:
        """Begins with what an earlier run kept of endpoints at the same place still and used within a day. Gives their names."""
        gap_s = age_s(kept, wall_s)
        if gap_s > OLDEST_S:
            return []
        fit = {n: k for n, k in kept.endpoints.items() if n in self._records and k.age_s + gap_s <= OLDEST_S}
        recalled = [n for n, k in fit.items() if place_of(self._records[n].endpoint) == k.place]
        for name in recalled:
            self._records[name].recall(fit[name], gap_s, now_s)
        self._lengths.recall(kept.lengths)
        return recalled

    def _land(self, flight: Flight) -> bool:
        """Takes the flight out of the air; False where it had ended before."""
        if flight.ended:
            return False
        flight.ended = True
        flight.record.in_flight -= 1
        self._waiting.pop(flight, None)
        return True


def _failed(flight: Flight, blame: Blame, now_s: float) -> None:
    record = flight.record
    if blame is Blame.RATE:
        record.outcomes.rate_limited(now_s)
    elif blame is not Blame.NONE:
        record.outcomes.failure(now_s)
    if blame is Blame.SLOW and flight.first_content_s is None:
        record.saw_waiting(flight, now_s)
