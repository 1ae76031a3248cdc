"""What several workers lose against one: the same worlds and luck for one, for several that share, and for several that do not.

`python -m bench.workers --trace T.csv --world six-phases --rate 1 --seeds 5`. Differences are taken seed by seed, with 95 %
intervals over seeds.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import click

from fastroute.core.types import Route
from fastroute.sim.command import route_of
from fastroute.sim.crew import Crew
from fastroute.sim.measures import Numbers, numbers
from fastroute.sim.report import Estimate, estimate
from fastroute.sim.run import Contender, Setting, play
from fastroute.sim.traces import load_trace
from fastroute.sim.worldfile import SHIPPED, find_world, load_world

CONFIG = SHIPPED / "five-endpoints.yaml"
HEAD = f"{'':24} attained %      less one %        cost / one       hedges %  attempts"


def crews(workers: int) -> dict[str, Crew]:
    """Who is compared, by name; the one worker first."""
    return {
        "1 worker": Crew(),
        f"{workers} sharing, by chance": Crew(workers),
        f"{workers} sharing, in turn": Crew(workers, in_turn=True),
        f"{workers} not sharing": Crew(workers, shared=False),
    }


def played(route: Route, crew: Crew, setting: Setting, seed: int) -> Numbers:
    """One run, in numbers."""
    return numbers(play(Contender("crew", route, crew=crew), setting, seed))


def row(name: str, found: Sequence[Numbers], one: Sequence[Numbers]) -> str:
    """One line of the table: a crew's runs beside those of one worker, by seed."""
    pairs = list(zip(found, one, strict=True))
    less = estimate([100.0 * ((f.attainment or 0.0) - (o.attainment or 0.0)) for f, o in pairs])
    cost = estimate([(f.cost_usd or 0.0) / (o.cost_usd or 1.0) for f, o in pairs])
    attained = estimate([100.0 * (f.attainment or 0.0) for f in found])
    hedges, attempts = (sum(getattr(f, k) for f in found) / len(found) for k in ("hedge_ratio", "attempts_per_request"))
    return f"{name:24} {_told(attained)}  {_told(less)}  {_told(cost)}  {100.0 * hedges:8.2f}  {attempts:8.3f}"


def _told(of: Estimate) -> str:
    half = 0.0 if of.hi is None or of.mean is None else of.hi - of.mean
    return f"{of.mean:6.2f} ± {half:4.2f} "


@click.command()
@click.option("--trace", required=True, help="As for `fastroute simulate`.")
@click.option("--world", "worlds", multiple=True, default=("six-phases",), show_default=True)
@click.option("--rate", "rates", type=float, multiple=True, default=(1.0,), show_default=True, help="Requests a second.")
@click.option("--seeds", type=int, default=5, show_default=True)
@click.option("--workers", type=int, default=4, show_default=True)
@click.option("--seconds", type=float, default=3500.0, show_default=True, help="Virtual seconds of each run.")
def main(trace: str, worlds: tuple[str, ...], rates: tuple[float, ...], seeds: int, workers: int, seconds: float) -> None:
    """Plays every crew in every world at every rate."""
    route, loaded, numbered = route_of(CONFIG, None), load_trace(trace), range(1, seeds + 1)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for rate, name in ((rate, name) for rate in rates for name in worlds):
            setting = Setting(load_world(find_world(name)), loaded, int(seconds * rate), rate)
            click.echo(f"\n{name}, {rate:g}/s, {seeds} seeds of {setting.requests} requests\n{HEAD}")
            runs = {c: [pool.submit(played, route, crew, setting, s) for s in numbered] for c, crew in crews(workers).items()}
            found = {crew: [run.result() for run in futures] for crew, futures in runs.items()}
            for crew, results in found.items():
                click.echo(row(crew, results, next(iter(found.values()))))


if __name__ == "__main__":
    main()
