"""Measuring at the wire with the mistakes in it."""

from contextlib import contextmanager
from unittest.mock import patch

from fastroute.engine import attempt
from fastroute.engine.lag import Lag


@contextmanager
def first_byte_counts():
    """5: time to first content is time to first byte."""

    def ready(self, translator, out):
        self._x.claim(self.attempt)
        self._commit()
        return True

    with patch.object(attempt.Sending, "_ready", ready):
        yield


@contextmanager
def clients_time_counts():
    """6: an answer took as long as the client took to read it."""
    with patch.object(attempt.Sending, "pace_end_s", property(lambda self: self._clock.now_s())):
        yield


@contextmanager
def own_lateness_counts():
    """42: an answer came when this process got round to reading it."""
    with patch.object(Lag, "late", lambda self, now_s: False):
        yield
