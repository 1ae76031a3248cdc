"""Virtual time for LiteLLM: what can be tested without it, and that it is skipped clearly where it is not installed."""

import importlib.util
import threading

import pytest

from bench.baselines import litellm_run, litellm_time
from bench.baselines.litellm_time import AtOnce, ThreadlessLoop, run_here

INSTALLED = litellm_time.missing() is None


def test_work_given_to_threads_is_done_at_once_in_this_one():
    done = AtOnce().submit(lambda a, b: (a + b, threading.get_ident()), 1, b=2)
    assert done.done()
    assert done.result() == (3, threading.get_ident())


async def test_so_is_work_given_to_anyios_threads():
    assert await run_here(lambda a: (a, threading.get_ident()), 5, abandon_on_cancel=True) == (5, threading.get_ident())


def test_what_goes_wrong_there_is_kept_for_whoever_asks():
    done = AtOnce().submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        done.result()


def test_clocks_hear_of_every_jump_before_anything_runs_at_the_new_instant():
    heard: list[float] = []
    loop = ThreadlessLoop(heard.append)
    seen = []

    async def sleeper() -> int:
        import asyncio

        for _ in range(3):
            await asyncio.sleep(10.0)
            seen.append((loop.time(), heard[-1]))
        return await loop.run_in_executor(None, lambda: 7)

    try:
        assert loop.run_until_complete(sleeper()) == 7
    finally:
        loop.close()
    assert [now for now, _ in seen] == pytest.approx([10.0, 20.0, 30.0])
    assert all(now == told for now, told in seen)


@pytest.mark.skipif(INSTALLED, reason="LiteLLM is installed here")
def test_without_litellm_nothing_is_played_and_it_is_said_why(capsys):
    with pytest.raises(SystemExit) as left:
        litellm_run.main([])
    assert left.value.code == 3
    assert "pip install" in capsys.readouterr().err


def test_a_compiled_router_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert "kernel's clock" in (litellm_time.missing() or "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "litellm.router_rust" else object())
    assert litellm_time.missing() is None
