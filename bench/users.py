"""Virtual users, as in locust: classes with weighted tasks, a wait between them, and `on_start`.

    class Agent(User):
        wait = between(0.5, 2.0)

        @task(3)
        async def ask(self) -> None:
            await self.chat(input_tokens=500)

        @task(1)
        async def stream(self) -> None:
            await self.chat(stream=True, chunks=64)

Rules. `chat` sends the request once to every target, in random order, so that users too give pairs. A wait ends at an instant
known beforehand: what comes late after it counts as latency. With `pacing` a task that overran does not shift the next one:
it is due when it would have been, and waits visibly.
"""

import asyncio
import importlib
import random
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, ClassVar, TypeVar

import msgspec

from bench.client import Call, Client
from bench.load import GRACE_S, PREWARMED, Sample, Target, quiet
from bench.request import Kind

Task = Callable[[Any], Awaitable[None]]
TaskT = TypeVar("TaskT", bound=Task)
Wait = Callable[[random.Random, float, float], float]
"""(rng, when the last task was due, when it ended) -> when the next one is due."""


def task(weight: int = 1) -> Callable[[TaskT], TaskT]:
    """Marks a method as a task, `weight` times as likely as one of weight 1."""
    if weight < 1:
        raise ValueError(f"task weight {weight}: must be at least 1")

    def mark(method: TaskT) -> TaskT:
        method.task_weight = weight  # type: ignore[attr-defined]
        return method

    return mark


def between(least_s: float, most_s: float) -> Wait:
    """Thinks for a uniformly random time after each task."""
    return lambda rng, due_s, ended_s: ended_s + rng.uniform(least_s, most_s)


def constant(wait_s: float) -> Wait:
    """Thinks for the same time after each task."""
    return lambda rng, due_s, ended_s: ended_s + wait_s


def pacing(every_s: float) -> Wait:
    """One task every `every_s`, however long tasks take."""
    return lambda rng, due_s, ended_s: due_s + every_s


class User:
    """One virtual user. Subclasses give tasks, a `wait`, and optionally `on_start`."""

    wait: ClassVar[Wait] = constant(1.0)

    def __init__(self, crowd: "Crowd", rng: random.Random) -> None:
        self._crowd, self.rng = crowd, rng
        self._due_s = 0.0
        self._tasks, self._weights = weighted_tasks(type(self))

    async def on_start(self) -> None:
        """Runs once, before the first task. Its requests are not measured."""

    async def chat(self, **kind: Any) -> None:
        """One request of the scenario's kind, with these members changed."""
        await self._crowd.chat(self, msgspec.structs.replace(self._crowd.kind, **kind) if kind else self._crowd.kind)

    async def live(self, until_s: float) -> None:
        """Tasks and waits until `until_s`, by `perf_counter`."""
        await self.on_start()
        self.measured = True
        due_s = perf_counter() + self.rng.random() * max(0.0, type(self).wait(self.rng, 0.0, 0.0))
        while due_s < until_s:
            await asyncio.sleep(max(0.0, due_s - perf_counter()))
            self._due_s = due_s
            await self.rng.choices(self._tasks, self._weights)[0](self)
            due_s = type(self).wait(self.rng, due_s, perf_counter())

    measured = False

    def due_s(self) -> float:
        """When the request that is about to be sent was due: at the end of the wait, or now for a task's later requests."""
        due_s, self._due_s = self._due_s, 0.0
        return due_s or perf_counter()


class ChatUser(User):
    """Mostly whole replies, every fourth a stream; half a second to a second and a half between them."""

    wait = between(0.5, 1.5)

    @task(3)
    async def ask(self) -> None:
        await self.chat(stream=False)

    @task(1)
    async def follow(self) -> None:
        await self.chat(stream=True)


class PacedUser(User):
    """One whole reply every 200 ms, whatever happens."""

    wait = pacing(0.2)

    @task()
    async def ask(self) -> None:
        await self.chat(stream=False)


def weighted_tasks(user: type[User]) -> tuple[list[Task], list[int]]:
    """The class's tasks, inherited ones too, and their weights. Raises ValueError where it has none."""
    members = {name: getattr(user, name) for name in dir(user)}
    found = [(m, m.task_weight) for _, m in sorted(members.items()) if hasattr(m, "task_weight")]
    if not found:
        raise ValueError(f"{user.__name__} has no @task")
    return [m for m, _ in found], [weight for _, weight in found]


def find(name: str) -> type[User]:
    """The class of that name: one of this module, or `module:Class`. Raises ValueError that says what is wrong."""
    module, _, attribute = name.rpartition(":")
    try:
        found = getattr(importlib.import_module(module or "bench.users"), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no user class {name!r}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, User)):
        raise ValueError(f"{name!r} is not a subclass of bench.users.User")
    weighted_tasks(found)
    return found


class Crowd:
    """`count` users of one class over the same targets; they begin one after the other at `spawn_per_s`."""

    def __init__(self, user: type[User], targets: Sequence[Target], kind: Kind, seed: int) -> None:
        self._user, self._targets, self.kind = user, targets, kind
        self._rng = random.Random(seed)
        self.sample = Sample()
        self._blocks = 0

    async def run(self, count: int, spawn_per_s: float, seconds: float) -> Sample:
        """Ends when every user's last task is complete, or GRACE_S later."""
        self._clients = [Client(t.port, t.host) for t in self._targets]
        try:
            for client in self._clients:
                await client.open(min(count, PREWARMED))
            with quiet():
                started_s = perf_counter()
                await self._spawn(count, spawn_per_s, started_s + seconds)
                self.sample.seconds = perf_counter() - started_s
        finally:
            for client in self._clients:
                await client.close()
        return self.sample

    async def _spawn(self, count: int, spawn_per_s: float, until_s: float) -> None:
        lives = []
        for _ in range(count):
            user = self._user(self, random.Random(self._rng.random()))
            lives.append(asyncio.ensure_future(user.live(until_s)))
            await asyncio.sleep(1 / spawn_per_s)
        done, late = await asyncio.wait(lives, timeout=max(0.0, until_s - perf_counter()) + GRACE_S)
        if late:
            self.sample.failures["unanswered"] = len(late)
        for life in late:
            life.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for life in done:
            life.result()

    async def chat(self, user: User, kind: Kind) -> None:
        """The same request to every target, one after the other, in random order."""
        self._blocks += 1
        block, due_s = self._blocks, user.due_s()
        for target in user.rng.sample(range(len(self._targets)), len(self._targets)):
            call = Call(target, block, due_s, self.sample.take)
            if kind.stamp and kind.stream:
                call.chunks_ns = []
            await self._clients[target].fetch(self._targets[target].request(kind), call)
            if user.measured:
                self.sample.take(call)
            due_s = perf_counter()
