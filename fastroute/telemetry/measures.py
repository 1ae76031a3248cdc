"""What one finished Trail comes to in numbers, worked out once for the metrics and for the log line."""

from fastroute.core.money import Pusd
from fastroute.core.trail import Trail

Measured = tuple[float | None, float | None, float | None, bool | None, Pusd | None]
"""The Trail's ttft_s, total_s, overhead_s, objective_met, cost_pusd. A plain tuple: it is made for every request."""


def measure(trail: Trail) -> Measured:
    """The numbers of `Measured`, as the Trail's own properties give them."""
    accepted_s, first_s, ended_s = trail.request.accepted_s, trail.first_content_s, trail.ended_s
    ttft_s = None if first_s is None else first_s - accepted_s
    if ended_s is None:
        return ttft_s, None, None, trail.objective_met, trail.cost_pusd
    total_s = ended_s - accepted_s
    overhead_s = total_s - trail.upstream_s
    return ttft_s, total_s, overhead_s if overhead_s > 0.0 else 0.0, trail.objective_met, trail.cost_pusd
