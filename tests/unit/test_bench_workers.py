"""The table of several workers against one."""

import msgspec
from click.testing import CliRunner
from sim_support import played

from bench import workers
from fastroute.sim.measures import numbers


def test_a_row_says_what_was_lost_seed_by_seed():
    one = [msgspec.structs.replace(numbers(played(requests=50)), attainment=a, cost_usd=2.0) for a in (0.98, 1.0)]
    less = [msgspec.structs.replace(n, attainment=n.attainment - 0.01, cost_usd=3.0) for n in one]
    assert " ".join(workers.row("four", less, one).split()) == "four 98.00 ± 12.71 -1.00 ± 0.00 1.50 ± 0.00 0.00 1.000"


def test_one_worker_comes_first_and_all_serve_the_same():
    crews = workers.crews(8)
    assert next(iter(crews.values())).workers == 1
    assert {crew.workers for crew in list(crews.values())[1:]} == {8}
    assert sum(not crew.shared for crew in crews.values()) == 1


def test_the_command_prints_a_row_for_each():
    done = CliRunner().invoke(workers.main, ["--trace", "poisson", "--seconds", "20", "--seeds", "2", "--workers", "2"])
    assert done.exit_code == 0, done.output
    rows = done.output.splitlines()
    assert [row.split("  ")[0] for row in rows[3:]] == ["1 worker", "2 sharing, by chance", "2 sharing, in turn", "2 not sharing"]
