"""Virtual time for a library that was not made for it: every clock of the process follows a virtual loop.

Theory of operation. `time_machine` replaces the interpreter's clocks (`time.time`, `datetime.now`, the monotonic ones); they are
put forward whenever the loop jumps, and stand still in between, so that work costs no time. Work given to threads is done at
once, in this thread: virtual time would run past a thread that is still at it.

What can go wrong. Native code that asks the kernel for the time is not fooled. LiteLLM from 1.110 on keeps its cooldowns and
latencies in a compiled core that does; `native_core` tells.
"""

import asyncio
import importlib.util
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from fastroute.sim.loop import VirtualLoop

EPOCH_S = 1_700_000_000.0
T = TypeVar("T")

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or LiteLLM, when imported, would fetch its prices


def missing() -> str | None:
    """Why LiteLLM cannot be played here; None: it can."""
    for name in ("litellm", "time_machine"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: pip install --group litellm (in a virtual environment of its own)"
    return native_core()


def native_core() -> str | None:
    """Why this LiteLLM's router cannot be put on virtual time; None: it is Python."""
    if importlib.util.find_spec("litellm.router_rust") is not None:
        return (
            "the router of this LiteLLM is compiled (litellm.router_rust) and reads the kernel's clock: its cooldowns and "
            "latencies cannot follow virtual time; install the version that the dependency group `litellm` names"
        )
    return None


class AtOnce(Executor):
    """An executor without threads: the work is done when it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to whoever asks the future
            done.set_exception(error)
        return done


async def run_here(func: Callable[..., T], *args: Any, **options: Any) -> T:
    """In place of `anyio.to_thread.run_sync`, whose options are about threads."""
    return func(*args)


class ThreadlessLoop(VirtualLoop):
    """A virtual loop whose executor is the loop's own thread. `on_jump` hears of each new instant."""

    def __init__(self, on_jump: Callable[[float], None]) -> None:
        super().__init__()
        wait = self._jumping.select

        def select(timeout: float | None = None) -> Any:
            ready = wait(timeout)
            on_jump(self.time())
            return ready

        self._jumping.select = select  # type: ignore[method-assign]

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        return asyncio.wrap_future(AtOnce().submit(func, *args), loop=self)


@contextmanager
def clocks() -> Iterator[Callable[[float], None]]:
    """Every clock stands at `EPOCH_S`; gives what moves them to so many seconds after it."""
    import time_machine

    with time_machine.travel(EPOCH_S, tick=False) as traveller:
        yield lambda now_s: traveller.move_to(EPOCH_S + now_s)


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs to its end on virtual time, with all clocks of the process."""
    with clocks() as move, asyncio.Runner(loop_factory=lambda: ThreadlessLoop(move)) as runner:
        return runner.run(main())
