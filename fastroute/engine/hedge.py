"""A duplicate under way beside the first attempt, and who wins: a race to first content.

Theory of operation. The first attempt runs in the request's own task, a hedge in one of its own, made only when the moment
for it has come. Whoever has content first claims the request (`Exchange.claim`), and the other is stopped in that instant:
the hedge by cancelling its task, the first attempt through its watchdog, so that the request's task itself goes on. An error
never claims: a first attempt that fails leaves the request to the hedge that is under way, instead of a third endpoint.
"""

import asyncio
from collections.abc import Coroutine

from fastroute.core.ports import ClientGone
from fastroute.core.trail import Attempt
from fastroute.core.types import Verdict
from fastroute.engine.watchdog import Watchdog


class Hedge:
    """One duplicate. `settle` or `stop` it before the request ends."""

    __slots__ = ("_first", "_first_watchdog", "_task")

    def __init__(self, first: Attempt, watchdog: Watchdog, course: Coroutine[None, None, Verdict]) -> None:
        """`watchdog`: the one that guards `first`; `course`: what the hedge does."""
        self._first, self._first_watchdog = first, watchdog
        self._task = asyncio.get_running_loop().create_task(course, name="hedge")

    def won_by(self, attempt: Attempt) -> None:
        """Stops whoever is not this attempt."""
        if attempt is self._first:
            self._task.cancel()
        else:
            self._first_watchdog.stop()

    async def settle(self, verdict: Verdict) -> Verdict:
        """The first attempt has ended with `verdict`: what both come to. Raises what the hedge raised, had it won."""
        return await self._task if verdict is Verdict.RETRY else verdict

    async def stop(self) -> None:
        """Ends the hedge, if it has not ended; waits until it is gone."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None and not isinstance(error, ClientGone):
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a hedge broke", "exception": error, "task": self._task}
            )
