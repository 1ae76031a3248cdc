"""The attempts that LiteLLM makes, as they are seen from the wire."""

from contextvars import ContextVar

import msgspec

from fastroute.core.failures import Failure
from fastroute.sim.wire import SimulatedReply


class Sent(msgspec.Struct, gc=False):
    """One attempt. `failure` None and not `complete`: it was left before it ended."""

    endpoint: str
    started_s: float
    ttft_s: float | None = None
    failure: Failure | None = None
    complete: bool = False
    reply: SimulatedReply | None = None


sent: ContextVar[list[Sent]] = ContextVar("sent")
"""The attempts of the request that is being served."""
