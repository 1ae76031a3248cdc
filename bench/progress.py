"""A progress bar on stderr: a line that is redrawn on a terminal, a line per scenario elsewhere."""

import sys
import time
from typing import TextIO

WIDTH = 30


class Progress:
    """Told before each step how long it takes; `close` removes the bar."""

    def __init__(self, expected_s: float, out: TextIO | None = None) -> None:
        self._expected_s = max(1.0, expected_s)
        self._out = out if out is not None else sys.stderr
        self._live = self._out.isatty()
        self._told = ""
        self._before_s = 0.0
        self._started_s = time.monotonic()

    def say(self, text: str, takes_s: float) -> None:
        """A step that begins now and takes about that long."""
        share = min(1.0, self._before_s / self._expected_s)
        self._before_s += takes_s
        if self._live:
            full = round(share * WIDTH)
            self._out.write(f"\r\033[K[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%} {self._left(share)}  {text}")
        elif (scenario := text.partition(":")[0]) != self._told:
            self._told = scenario
            self._out.write(f"[{share:4.0%}] {scenario}\n")
        self._out.flush()

    def _left(self, share: float) -> str:
        gone_s = time.monotonic() - self._started_s
        left_s = gone_s * (1 - share) / share if share > 0.1 else self._expected_s - gone_s
        return f"{max(0.0, left_s):3.0f} s left"

    def close(self) -> None:
        if self._live:
            self._out.write("\r\033[K")
            self._out.flush()
