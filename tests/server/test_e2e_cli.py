"""The command line as a user types it, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL")) and not k.startswith("FASTROUTE")}

FIVE = """\
version: 1
listen: {port: 99999}
providers:
  openai: {preset: openai, api_kee: k}
endpoints:
  mini: {provider: opnai, model: gpt-4o-mini}
routes:
  auto:
    strategy: cheapest_first
    tiers: [[mini], [maxi]]
"""


def fastroute(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastroute", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, cwd=cwd, env=CLEAN | env | {"PYTHONPATH": str(ROOT)}, timeout=60
    )


def test_check_reports_all_five_mistakes_with_line_and_column(tmp_path):
    file = tmp_path / "five.yaml"
    file.write_text(FIVE)
    done = fastroute("check", str(file))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith(str(file))]
    places = [tuple(int(n) for n in line.removeprefix(str(file)).split(":")[1:3]) for line in lines]
    assert [line for line, _ in places] == [2, 4, 6, 9, 10], done.stderr
    assert all(col > 1 for _, col in places)
    assert "did you mean 'api_key'?" in done.stderr
    assert "did you mean 'openai'?" in done.stderr


def test_check_is_content_with_the_examples():
    for file in sorted((ROOT / "configs").glob("*.yaml")):
        if "mock" not in file.name:
            done = fastroute("check", str(file))
            assert done.returncode == 0, done.stderr
            assert ": ok (" in done.stdout


def test_explain_says_who_and_why(tmp_path):
    request = tmp_path / "ask.json"
    request.write_text(json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}))
    report = json.loads(fastroute("explain", "--config", "configs/demo.yaml", "--json", str(request)).stdout)
    assert set(report) >= {"route", "grade", "candidates", "excluded", "hedge", "chosen", "why"}
    assert {c["endpoint"] for c in report["candidates"]} == {"nano", "claude-mid", "premium"}
    assert set(report["candidates"][0]["predicted_ttft_ms"]) == {"p50", "p99"}
    assert report["chosen"] == "nano"
    text = fastroute("explain", "--config", "configs/demo.yaml", str(request)).stdout
    assert "-> " in text
    assert "why: nano" in text


def test_explain_names_what_is_wrong_with_the_request(tmp_path):
    request = tmp_path / "ask.json"
    request.write_text('{"model": "nope", "messages": [{"role": "user", "content": "Hi"}]}')
    done = fastroute("explain", "--config", "configs/demo.yaml", str(request))
    assert (done.returncode, "'nope'" in done.stderr) == (2, True)


def test_serve_without_anything_to_serve_says_what_it_looks_for(tmp_path):
    done = fastroute("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr


def test_schema_is_json():
    assert json.loads(fastroute("schema").stdout)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_starts_from_provider_keys_answers_and_drains(tmp_path, number):
    command = [sys.executable, "-m", "fastroute", "serve", "--port", "0", "--admin-port", "0"]
    env = CLEAN | {"OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=env) as process:
        assert process.stdout is not None
        started = [process.stdout.readline() for _ in range(3)]
        assert "endpoints from the environment: openai" in started[0]
        url = started[1].split()[2].removesuffix("/v1")
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as reply:
            assert "auto" in [m["id"] for m in json.load(reply)["data"]]
        assert fastroute("healthcheck", "--url", url).returncode == 0
        process.send_signal(number)
        started_s = time.monotonic()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - started_s < 10
        assert "sk-test" not in (process.stdout.read() + (process.stderr.read() if process.stderr else ""))
    assert fastroute("healthcheck", "--url", url).returncode == 1


def test_the_demo_loses_nothing_and_its_spend_is_the_bill(tmp_path):
    ledger = tmp_path / "ledger.ndjson"
    done = fastroute("demo", "--seconds", "6", "--rate", "10", "--ledger", str(ledger))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    bill = json.loads(done.stdout.split("bill: ", 1)[1])
    assert len(rows) >= 40
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(bill["total_usd"], rel=0.02)
    assert "all premium USD" in done.stdout
