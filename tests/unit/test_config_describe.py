import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from config_support import SMALL, lines_of

from fastroute.config.describe import json_schema, main, reference_markdown
from fastroute.config.presets import presets

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def accepts(text: str) -> bool:
    return bool(VALIDATOR.is_valid(yaml.safe_load(text)))


def test_the_schema_is_a_schema_of_the_newest_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_that_is_checked_in_is_fresh() -> None:
    stored = (ROOT / "fastroute/config/fastroute.schema.json").read_text()
    assert json.loads(stored) == json_schema(), "run `make schema`"


def test_the_reference_that_is_checked_in_is_fresh() -> None:
    assert (ROOT / "docs/config-reference.md").read_text() == reference_markdown(), "run `make schema`"


def test_the_command_prints_what_is_checked_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == (ROOT / "fastroute/config/fastroute.schema.json").read_text()
    assert main(["--markdown"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/config-reference.md").read_text()


RIGHT = [
    SMALL,
    SMALL + 'listen: {port: "${PORT:-4000}", drain_s: "${D}"}\n',
    SMALL + "x-mine: {a: 1}\n",
    SMALL.replace("tiers: [[mini]]", "tiers: [mini]"),
    SMALL.replace("tiers: [[mini]]", "endpoints: [mini]"),
    SMALL.replace("tiers: [[mini]]", 'tiers: [[mini]], strategy: "${STRATEGY:-weighted}"'),
    SMALL.replace("sk-test-1234567890", '"${KEY:-with a space}"'),
    SMALL.replace("{api_key", '{preset: "${PRESET:-openai}", api_key'),
    SMALL.replace("{api_key", "{preset: null, api_key"),
    SMALL.replace("model: gpt-mini", 'model: gpt-mini, skills: {default: "${SKILL:-0.5}"}'),
    SMALL + "shared_state: {url: null}\n",
    SMALL + "rules: [{when: {task: [a, b]}, use: {endpoints: [mini]}}]\n",
]
WRONG = [
    SMALL + "zzz: 1\n",
    SMALL.replace("model:", "modle:"),
    SMALL.replace("provider: openai, ", ""),
    SMALL.replace("providers:\n  openai: {api_key: sk-test-1234567890}\n", "providers: {}\n"),
    SMALL + "version: 2\n",
    SMALL + "listen: {port: 70000}\n",
    SMALL + "listen: {port: a}\n",
    SMALL.replace("tiers: [[mini]]", "tiers: [[mini]], strategy: cost_sol"),
    SMALL.replace("tiers: [[mini]]", "tiers: [[mini]], max_attempts: 11"),
    SMALL.replace("tiers: [[mini]]", "tiers: [[mini]], endpoints: [mini]"),
    SMALL.replace("tiers: [[mini]]", "tiers: [5]"),
    SMALL.replace("tiers: [[mini]]", "max_attempts: 1"),
    SMALL.replace("model: gpt-mini", "model: gpt-mini, skills: {default: 1.5}"),
    SMALL.replace("{api_key", "{preset: opnai, api_key"),
    SMALL.replace("mini:", "'a b':").replace("[[mini]]", "[['a b']]"),
    SMALL + "rules: [{when: {}}]\n",
    SMALL + "sensitive: [{intents: [a], allow: [mini], on_unavailable: ignore}]\n",
]


@pytest.mark.parametrize("text", RIGHT)
def test_schema_and_checks_accept_the_same(text: str) -> None:
    assert accepts(text)
    env = {"D": "3", "SKILL": "", "STRATEGY": "", "PORT": ""}
    assert [line for line in lines_of(text, env) if "holds a space" not in line] == []


@pytest.mark.parametrize("text", WRONG)
def test_schema_and_checks_refuse_the_same(text: str) -> None:
    assert not accepts(text)
    assert lines_of(text)


@pytest.mark.parametrize("name", ["sidecar.yaml", "slo-tuning.yaml", "providers.yaml"])
def test_the_schema_accepts_the_examples(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load((ROOT / "configs" / name).read_text()))


def described(schema: Any) -> list[str]:
    return [
        name
        for definition in schema["$defs"].values()
        for name, member in definition["properties"].items()
        if "description" not in member
    ]


def test_editors_can_explain_every_key() -> None:
    assert described(json_schema()) == []


def test_the_reference_names_every_key_and_preset() -> None:
    page = reference_markdown()
    for definition in json_schema()["$defs"].values():
        for name in definition["properties"]:
            assert f"| `{name}` |" in page
    for name in presets():
        assert f"| `{name}` |" in page


def test_links_in_the_reference_lead_to_headings() -> None:
    page = reference_markdown()
    headings = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    linked = {part.partition(")")[0] for part in page.split("](#")[1:]}
    assert linked
    assert linked <= headings


def test_the_reference_says_what_has_no_effect_yet() -> None:
    rows = [line for line in reference_markdown().splitlines() if "without effect" in line]
    assert {row.split("`")[1] for row in rows} == {
        "rules",
        "sensitive",
        "keys",
        "ledger",
        "shared_state",
        "difficulty",
        "escalate_on",
        "log_prompts",
        "otel_endpoint",
    }


def test_tables_have_the_same_number_of_cells_in_every_row() -> None:
    for block in reference_markdown().split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, block
