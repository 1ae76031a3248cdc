"""Scoreboards that know something, for tests of what outlives them."""

import random

from policy_cases import endpoint

from fastroute.stats.board import Scoreboard

A, B = endpoint("a"), endpoint("b")
WALL_S = 1_700_000_000.0


def fresh(*endpoints) -> Scoreboard:
    board = Scoreboard()
    for e in endpoints or (A, B):
        board.add(e)
    return board


def served(board, at_s, e=A, ttft_s=0.5, tokens=100, input_tokens=500, tpot_s=0.01, stream=True) -> None:
    flight = board.begin(e, at_s, input_tokens, 2.0, stream)
    if stream:
        board.first_content(flight, at_s + ttft_s)
    board.finish(flight, at_s + ttft_s + tokens * tpot_s, ok=True, stream=stream, output_tokens=tokens)


def experienced(count=400, seed=1, stream=True, ttft_s=1.2) -> tuple[Scoreboard, float]:
    """A board that saw so many answers of A, one a second, slower for longer prompts; and the time after them."""
    board, rng = fresh(), random.Random(seed)
    for i in range(count):
        sizes = rng.choice((100, 500, 4000))
        first_s = (ttft_s + 0.0003 * sizes) * rng.lognormvariate(0.0, 0.3) * (5.0 if rng.random() < 0.02 else 1.0)
        served(board, float(i), A, first_s, rng.randint(20, 300), sizes, 0.02, stream)
        if i % 10 == 0:
            board.tick(float(i) + 0.5)
    board.tick(count + 10.0)
    return board, count + 10.0
