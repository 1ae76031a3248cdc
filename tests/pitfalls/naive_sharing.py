"""Workers and pace with the mistakes in them."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import msgspec

from fastroute.core.failures import RULES, Blame, Failure
from fastroute.engine.admission import Admission
from fastroute.engine.sharing import Sharing
from fastroute.stats.pace import Pace


@contextmanager
def probes_untold():
    """40: each worker probes a suspect as if it were alone."""
    with (
        patch.object(Sharing, "_compare_probes", lambda self, others: None),
        patch.object(Sharing, "_compare", lambda self, others: None),
    ):
        yield


@contextmanager
def first_content_is_all():
    """23: how fast an answer comes once it has begun is nobody's concern."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(Admission, "_judge_pace", lambda self, *seen: None))
        patches.enter_context(patch.object(Pace, "observe_stream", lambda self, *seen: None))
        blameless = msgspec.structs.replace(RULES[Failure.DEADLINE], blame=Blame.NONE)
        patches.enter_context(patch.dict(RULES, {Failure.DEADLINE: blameless}))
        yield
