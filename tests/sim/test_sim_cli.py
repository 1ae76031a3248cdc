"""`fastroute simulate` as a command."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fastroute.cli import main
from fastroute.sim.worldfile import SHIPPED

FIVE = str(SHIPPED / "five-endpoints.yaml")
QUICK = ("--trace", "poisson", "--rate", "2", "--requests", "300", "--seeds", "1", "--world", "six-phases")


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


def test_it_prints_a_table():
    done = simulate(*QUICK, "-c", FIVE, "--no-oracle")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("poisson at 2 requests a second, 300 requests on 1 seed, six phases (in-sample)")
    assert "| five-endpoints |" in done.output


def test_two_configurations_json_and_html_and_twice_the_same(tmp_path: Path):
    strict = tmp_path / "strict.yaml"
    strict.write_text((SHIPPED / "five-endpoints.yaml").read_text().replace("ttft_ms: 2000", "ttft_ms: 1000"))
    pages = [tmp_path / "1.html", tmp_path / "2.html"]
    runs = [simulate(*QUICK, "--no-oracle", "-c", FIVE, "-c", str(strict), "--json", "--html", str(p)) for p in pages]
    assert [r.exit_code for r in runs] == [0, 0]
    assert runs[0].output == runs[1].output
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert [c["name"] for c in json.loads(runs[0].output)["configs"]] == ["five-endpoints", "strict"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--trace", "poisson", "-c", FIVE), "the model `poisson` needs --rate"),
        (("--trace", "none.csv", "-c", FIVE), "none.csv: cannot be read"),
        ((*QUICK, "-c", "none.yaml"), "none.yaml"),
        ((*QUICK, "-c", FIVE, "--route", "aut"), "did you mean 'auto'?"),
        ((*QUICK,), "Missing option '--config'"),
        ((*QUICK, "-c", FIVE, "--rate", "0"), "Invalid value for '--rate'"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(arguments, told):
    done = simulate(*arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_several_workers_twice_the_same():
    runs = [simulate(*QUICK, "-c", FIVE, "--no-oracle", "--workers", "3", "--json") for _ in range(2)]
    assert runs[0].exit_code == 0, runs[0].output
    assert runs[0].output == runs[1].output
    assert json.loads(runs[0].output)["configs"][0]["workers"] == 3
