"""Virtual users: weights, waits, pacing, on_start, and pairs from every task."""

import random
from collections import Counter
from time import perf_counter
from typing import Any

import pytest
from bench_server_support import scripted, upstream

from bench import rows, users
from bench.load import Target
from bench.request import Kind
from bench.users import ChatUser, Crowd, PacedUser, User, between, constant, find, pacing, task, weighted_tasks

RNG = random.Random(1)


class Quick(User):
    """One kind of task, 20 ms apart; notes when it started."""

    wait = constant(0.02)
    started: list[float]

    async def on_start(self) -> None:
        type(self).started = [*getattr(type(self), "started", []), perf_counter()]
        await self.chat()

    @task()
    async def ask(self) -> None:
        await self.chat()


def test_waits() -> None:
    assert constant(2.0)(RNG, 10.0, 11.0) == 13.0
    assert all(11.5 <= between(0.5, 2.0)(RNG, 10.0, 11.0) <= 13.0 for _ in range(50))
    assert pacing(0.2)(RNG, 10.0, 11.0) == 10.2  # overdue: it shows as latency


def test_tasks_have_weights_and_are_inherited() -> None:
    class More(ChatUser):
        @task(2)
        async def more(self) -> None: ...

    found, weights = weighted_tasks(More)
    assert {t.__name__: w for t, w in zip(found, weights, strict=True)} == {"ask": 3, "follow": 1, "more": 2}  # type: ignore[attr-defined]


def test_a_user_without_tasks_and_a_weight_of_nothing() -> None:
    with pytest.raises(ValueError, match="User has no @task"):
        weighted_tasks(User)
    with pytest.raises(ValueError, match="task weight 0"):
        task(0)


def test_classes_are_found_by_name() -> None:
    assert find("ChatUser") is ChatUser
    assert find("bench.users:PacedUser") is PacedUser


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nobody", "no user class 'Nobody'"),
        ("nowhere:Some", "no user class 'nowhere:Some'"),
        ("Crowd", "not a subclass"),
        ("User", "User has no @task"),
    ],
)
def test_a_name_that_is_no_user_class_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(name)


async def test_every_task_gives_a_pair_in_random_order() -> None:
    Quick.started = []
    async with upstream() as target:
        crowd = Crowd(Quick, [target, target], Kind(), seed=1)
        sample = await crowd.run(4, spawn_per_s=1000, seconds=0.4)
    assert sample.errors == 0
    assert len(Quick.started) == 4
    pairs = rows.blocks(sample.calls)
    assert len(pairs) * 2 == len(sample.calls) == sample.done  # the calls of on_start are not among them
    assert len(pairs) >= 8
    first = Counter("direct" if a.sent_s < b.sent_s else "routed" for a, b in pairs)
    assert min(first.values()) > 0


async def test_tasks_are_chosen_by_weight() -> None:
    chosen: Counter[str] = Counter()

    class Busy(User):
        wait = constant(0.0)

        @task(9)
        async def often(self) -> None:
            chosen["often"] += 1
            await self.chat()

        @task(1)
        async def seldom(self) -> None:
            chosen["seldom"] += 1
            await self.chat(stream=True, chunks=3)

    async with upstream() as target:
        sample = await Crowd(Busy, [target], Kind(), seed=2).run(2, 1000, 0.5)
    assert sample.errors == 0
    assert sum(chosen.values()) > 50
    assert 0.8 < chosen["often"] / sum(chosen.values()) < 0.97


async def test_a_paced_user_who_is_held_up_waits_visibly() -> None:
    class Impatient(User):
        wait = pacing(0.05)

        @task()
        async def ask(self) -> None:
            await self.chat(think_ms=100.0)

    async with upstream() as target:
        sample = await Crowd(Impatient, [target], Kind(), seed=1).run(1, 1000, 0.3)
    waits = [c.total_s for c in sorted(sample.calls, key=lambda c: c.block)]
    assert len(waits) >= 2
    assert waits == sorted(waits)  # every task is due 50 ms after the last, and takes 100
    assert waits[-1] - waits[0] == pytest.approx(0.05 * (len(waits) - 1), abs=0.1)


async def test_users_who_are_never_answered_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "GRACE_S", 0.05)

    class Hopeful(User):
        wait = constant(0.0)

        @task()
        async def ask(self) -> None:
            await self.chat()

    async with scripted([]) as target:
        sample = await Crowd(Hopeful, [target], Kind(), seed=1).run(3, 1000, 0.1)
    assert (sample.done, sample.failures) == (0, {"unanswered": 3})


async def test_a_users_own_mistake_is_not_hidden() -> None:
    class Broken(User):
        wait = constant(0.0)

        @task()
        async def ask(self) -> None:
            raise LookupError("mistake in a task")

    async with upstream() as target:
        with pytest.raises(LookupError, match="mistake in a task"):
            await Crowd(Broken, [target], Kind(), seed=1).run(1, 1000, 0.1)


async def test_the_same_seed_gives_the_same_users() -> None:
    async def draws(seed: int) -> list[Any]:
        found: list[float] = []

        class Drawing(User):
            wait = constant(0.0)

            async def on_start(self) -> None:
                found.append(self.rng.random())

            @task()
            async def ask(self) -> None:
                await self.chat()

        async with upstream() as target:
            await Crowd(Drawing, [Target("direct", target.port)], Kind(), seed).run(3, 1000, 0.02)
        return found

    assert await draws(5) == await draws(5)
