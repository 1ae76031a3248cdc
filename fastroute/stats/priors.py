"""What is believed before anything was measured: shapes of TTFT and of answer lengths.

Theory of operation. A TTFT is its endpoint's scale times a shape. The shape is log-normal with sigma 0.35, plus a straggler
tail of 0.5 % that falls as 1 / ratio. While an endpoint's scale rests on few samples, the shape is wider, because the scale
itself may be off; so an endpoint nobody has tried is neither fast nor slow but uncertain.

Source: selection notes 2.2 (llmperf raw data: p95/p50 of TTFT is 1.1-1.8 in 16 of 19 files); widths per sample count: ours.
"""

import math
from collections.abc import Sequence

TTFT_S = 0.6
TPOT_S = 0.012
OUTPUT_TOKENS = 200.0

SHAPE_SIGMA = 0.35
STRAGGLER_RATIO = 0.005
SCALE_SIGMA = 0.6  # how far off an untried endpoint's expected TTFT is, in log units
KNOWN = 24  # samples after which the scale adds nothing to the width


def normal_survival(z: float) -> float:
    """P(Z > z) of the standard normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def shape(bounds: Sequence[float], sigma: float) -> tuple[float, ...]:
    """P(ratio > bound) of the log-normal body and its straggler tail."""
    return tuple(
        (1.0 - STRAGGLER_RATIO) * normal_survival(math.log(b) / sigma) + STRAGGLER_RATIO * min(1.0, 1.0 / b) for b in bounds
    )


def widths() -> tuple[float, ...]:
    """The shape's sigma by number of samples, 0 to KNOWN."""
    return (*(math.hypot(SHAPE_SIGMA, SCALE_SIGMA / math.sqrt(1.0 + 1.5 * n)) for n in range(KNOWN)), SHAPE_SIGMA)
