"""What one worker learned about an endpoint and tells the others; and how little of it needs telling when much was learned.

Theory of operation. Latencies are samples of one distribution: at high rates a few, evenly chosen, show it as well as all.
What is counted (successes against failures) must stay exact, so a success that is told stands for those before it that were
not, and failures, overdue answers and everything about a flight that was overdue are always told, in their order.
"""

import enum
from collections.abc import Collection

import msgspec

from fastroute.core.failures import Blame

FEWEST_TOLD = 2  # samples of a busy endpoint in one round, however many others are busy


class Kind(enum.Enum):
    """What was learned."""

    FIRST_CONTENT = "first_content"  # a stream's first content token
    GOOD = "good"  # an attempt ended well
    GOODS = "goods"  # `stands_for` attempts ended well; their times are not told
    BAD = "bad"  # an attempt failed, and `blame` says how the endpoint is to blame
    OVERDUE = "overdue"  # patience passed without first content
    DRIPS = "drips"  # a stream under way is so slow that it will be late
    GONE = "gone"  # the client left before first content


KINDS = tuple(Kind)


class Lesson(msgspec.Struct, frozen=True, gc=False):
    """One thing learned. `endpoint`: its index in the configuration. Instants are monotonic."""

    kind: Kind
    endpoint: int
    at_s: float
    started_s: float
    first_content_s: float | None = None
    input_tokens: int = 0
    output_tokens: int | None = None
    stream: bool = True
    overdue: bool = False
    blame: Blame = Blame.NONE
    stands_for: int = 1


class Tally:
    """How much of one endpoint is told: each `stride`-th sample. `untold`: successes that no lesson stands for yet.

    Whoever notes a sample counts it in `samples` and tells it where that is a multiple of `stride`.
    """

    __slots__ = ("index", "noted", "samples", "stride", "untold")

    def __init__(self, index: int) -> None:
        self.index = index  # the endpoint's, in the configuration
        self.samples = self.noted = self.untold = 0
        self.stride = 1


def pace(tallies: Collection[Tally], budget: int) -> None:
    """Ends a round: sets the strides so that a round like this one tells about `budget` samples, of all endpoints alike.

    Strides are odd: first contents and ends take turns, and an even one would tell only of either.
    """
    busy = [tally for tally in tallies if tally.samples != tally.noted]
    share = max(FEWEST_TOLD, budget // max(1, len(busy)))
    for tally in tallies:
        tally.stride = -(-(tally.samples - tally.noted) // share) | 1
        tally.noted = tally.samples
