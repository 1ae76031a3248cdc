from pathlib import Path

import pytest
from config_support import SMALL, lines_of, only_line, parsed, problems_of
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.load import ConfigError, load_config, parse_config
from fastroute.config.nodes import MAX_BYTES
from fastroute.config.problems import MAX_PROBLEMS

FULL = """\
version: 1
listen: {host: 127.0.0.1, port: 4000, admin_port: 4001}
providers:
  openai:    {preset: openai, api_key: "${OPENAI_API_KEY}"}
  anthropic: {preset: anthropic, api_key: "${ANTHROPIC_API_KEY}"}
  gemini:    {preset: gemini, api_key: "${GEMINI_API_KEY}"}
  local:     {preset: openai-compatible, base_url: "http://127.0.0.1:8000/v1"}
endpoints:
  gpt-4o:  {provider: openai, model: gpt-4o, skills: {default: 0.88, math: 0.90}}
  sonnet:  {provider: anthropic, model: claude-3-5-sonnet, skills: {default: 0.89, code: 0.93}}
  flash:   {provider: gemini, model: gemini-1.5-flash, skills: {default: 0.74, vision: 0.80}, cancel_stops_billing: false}
  llama:   {provider: local, model: llama, price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}, limits: {max_in_flight: 8}}
routes:
  auto:
    objective: {ttft_ms: 2000, total_ms: 8000, target: 0.99}
    deadline_ms: 10000
    max_attempts: 3
    tiers: [[flash, llama], [sonnet], [gpt-4o]]
    difficulty: {classifier: builtin, tier_from: [0.0, 0.45, 0.80]}
    hedge: {max_ratio: 0.05, max_spend_ratio: 0.05}
    escalate_on: [invalid_json, schema_mismatch, refusal, empty, truncated, low_confidence]
    on_infeasible: mildest
    strategy: cost_slo
rules:
  - {name: triage, when: {task: classification, input_tokens: {lt: 500}}, use: {endpoints: [flash]}}
  - {name: gold, when: {tag: {tier: gold}}, use: {route: auto, objective: {ttft_ms: 800}}}
sensitive:
  - {intents: [medical, legal, financial, self_harm], allow: [gpt-4o, sonnet], on_unavailable: reject}
keys: {required: false}
ledger: {url: "sqlite:///fastroute.db"}
shared_state: {url: null}
telemetry: {log_prompts: false, otel_endpoint: null}
"""
KEYS = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GEMINI_API_KEY": "sk-g"}


def test_the_whole_format_of_the_interface_is_accepted() -> None:
    config = parsed(FULL, KEYS)
    assert config.providers["openai"].api_key == "sk-o"
    assert config.endpoints["flash"].cancel_stops_billing is False
    assert config.endpoints["llama"].limits is not None
    assert config.endpoints["llama"].limits.max_in_flight == 8
    assert config.routes["auto"].tier_names() == (("flash", "llama"), ("sonnet",), ("gpt-4o",))
    assert config.rules is not None
    assert config.rules[0].when.input_tokens is not None
    assert config.rules[0].when.input_tokens.lt == 500
    assert config.sensitive is not None
    assert config.sensitive[0].allow == ("gpt-4o", "sonnet")


def test_defaults() -> None:
    config = parsed(SMALL)
    route = config.routes["auto"]
    assert (config.listen.host, config.listen.port, config.listen.admin_port) == ("127.0.0.1", 4000, 4001)
    assert config.listen.max_body_bytes == 64 * 1024 * 1024
    assert (route.deadline_ms, route.deadline_covers, route.max_attempts) == (10_000, "last_byte", 3)
    assert (route.strategy, route.on_infeasible, route.objective) == ("cost_slo", "mildest", None)
    assert config.rules is config.keys is config.ledger is None


def test_five_mistakes_of_five_kinds_are_five_problems() -> None:
    text = (
        FULL.replace("admin_port: 4001", "admin_prot: 4001")
        .replace("deadline_ms: 10000", 'deadline_ms: "soon"')
        .replace("max_attempts: 3", "max_attempts: 11")
        .replace("[sonnet], [gpt-4o]]", "[sonet], [gpt-4o]]")
        .replace("strategy: cost_slo", "strategy: cost_sol")
    )
    assert lines_of(text, KEYS) == [
        "f.yaml:2:39: unknown key 'admin_prot' (did you mean 'admin_port'?)",
        "f.yaml:16:18: routes.auto.deadline_ms: expected a whole number, got text",
        "f.yaml:17:19: routes.auto.max_attempts: must be at most 10",
        "f.yaml:18:30: endpoint 'sonet' is not defined (did you mean 'sonnet'?)",
        "f.yaml:23:15: routes.auto.strategy: 'cost_sol' is not one of cost_slo, least_latency, round_robin, weighted"
        " (did you mean 'cost_slo'?)",
    ]


def test_and_five_more_of_other_kinds() -> None:
    text = (
        FULL.replace("  gemini:    {preset: gemini", "  gemini:    {preset: gmini")
        .replace("model: gpt-4o, ", "")
        .replace("keys: {required: false}", "keys: {required: no}")
        .replace('ledger: {url: "sqlite:///fastroute.db"}', "keys: {}")
    )
    env = {"OPENAI_API_KEY": "sk-o", "GEMINI_API_KEY": "sk-g"}
    assert lines_of(text, env) == [
        "f.yaml:5:43: environment variable 'ANTHROPIC_API_KEY' is not set"
        " (give a default with ${ANTHROPIC_API_KEY:-...}, which may be empty)",
        "f.yaml:6:23: preset 'gmini' is not defined (did you mean 'gemini'?)",
        "f.yaml:9:12: endpoints.gpt-4o: required key 'model' is missing",
        "f.yaml:29:18: keys.required: expected true or false, got text",
        "f.yaml:30:1: key 'keys' is given twice (first in line 29)",
    ]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("listen: {port", "prot"),
        ("{ttft_ms", "tfft_ms"),
        ("{default", "default"),
        ("price: {input_usd_per_mtok", "input_usd_per_mtk"),
        ("limits: {max_in_flight", "max_inflight"),
        ("difficulty: {classifier", "clasifier"),
        ("hedge: {max_ratio", "max_raito"),
        ("input_tokens: {lt", "lx"),
        ("use: {route", "rout"),
    ],
)
def test_unknown_keys_are_found_at_any_depth(path: str, key: str) -> None:
    before = path.rpartition("{")[0]
    text = FULL.replace("host: 127.0.0.1, port", "port").replace(path + ":", f"{before}{{{key}:", 1)
    if key == "default":  # names of tasks are the user's own
        assert lines_of(text, KEYS) == []
    else:
        assert any(f"unknown key '{key}'" in line for line in lines_of(text, KEYS))


def test_problems_are_sorted_and_structured() -> None:
    problems = problems_of("version: 2\nproviders: {}\nzzz: 1\n")
    assert [(p.file, p.line, p.col) for p in problems] == [("f.yaml", 1, 10), ("f.yaml", 2, 12), ("f.yaml", 3, 1)]
    assert "needs at least 1 entry" in problems[1].message


def test_keys_of_ones_own_are_ignored_at_the_top_only() -> None:
    assert lines_of("x-mine: {anything: [goes]}\n" + SMALL) == []
    assert "unknown key 'x-mine'" in only_line(SMALL.replace("{tiers", "{x-mine: 1, tiers"))


def test_merged_sections_are_checked_like_others() -> None:
    text = "x-r: &r {max_attempts: 99}\n" + SMALL.replace("{tiers", "{<<: *r, tiers")
    assert only_line(text) == "f.yaml:1:24: routes.auto.max_attempts: must be at most 10"


def test_a_mistake_reached_twice_is_reported_once() -> None:
    text = SMALL.replace("{provider: openai, model: gpt-mini}", "&m {provider: openai}") + ""
    text = text.replace("routes:", "  twin: *m\nroutes:")
    assert len(lines_of(text)) == 2  # the names differ, the place does not
    assert {line.split(": ")[0] for line in lines_of(text)} == {"f.yaml:4:9"}


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("a", True),
        ("gpt-4o", True),
        ("meta-llama/Llama-3.3-70B", True),
        ("a:b@c+d", True),
        ("A_1", True),
        ('"a b"', False),
        ('"a\\n"', False),
        ('"é"', False),
        ("-a", False),
        ('""', False),
        ("a" * 129, False),
        ('"a\\r\\nx: y"', False),
    ],
)
def test_names_fit_into_a_header(name: str, fine: bool) -> None:
    text = SMALL.replace("mini:", f"{name}:").replace("[[mini]]", f"[[{name}]]")
    assert (lines_of(text) == []) == fine


def test_provider_names_hold_no_slash() -> None:
    text = SMALL.replace("openai: {", "open/ai: {preset: openai, ").replace("provider: openai", "provider: open/ai")
    assert "may hold letters, digits and _ . - only" in only_line(text)


@pytest.mark.parametrize("key", ["sk with space", "sk\nline", "sk-é", "\tsk"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    line = only_line(SMALL.replace("sk-test-1234567890", '"${K}"'), {"K": key})
    assert "providers.openai.api_key: holds a space" in line
    assert key not in line


@pytest.mark.parametrize(
    "provider",
    ['headers: {"a b": c}', 'headers: {a: "b\\r\\nX: y"}', 'headers: {"": c}', 'query: {"": c}', 'organization: "a\\nb"'],
)
def test_headers_cannot_be_smuggled(provider: str) -> None:
    assert len(lines_of(SMALL.replace("api_key: sk-test-1234567890", provider))) == 1


# --- files ---


def test_a_file_is_read_and_named_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SMALL)
    assert load_config(path, {}).endpoints["mini"].model == "gpt-mini"
    path.write_text(SMALL + "zzz: 1\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:7:1: unknown key 'zzz'"):
        load_config(str(path), {})


def test_toml_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[providers.openai]\napi_key = "sk-x"\n')
    assert load_config(path, {}).providers["openai"].api_key == "sk-x"


def test_json_is_yaml(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"providers": {"openai": {"api_key": "sk-x"}}}')
    assert load_config(path, {}).providers["openai"].api_key == "sk-x"


def test_without_an_environment_given_it_is_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTROUTE_TEST_KEY", "sk-env")
    text = SMALL.replace("sk-test-1234567890", '"${FASTROUTE_TEST_KEY}"')
    assert parse_config(text).providers["openai"].api_key == "sk-env"
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert load_config(path).providers["openai"].api_key == "sk-env"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: the file is empty"),
        (b" \n\n", "1:1: the file is empty"),
        (b"# only this\n", "1:1: the file is empty"),
        (b"providers:\n  a: \xff\xfe\n", "2:6: not UTF-8 text"),
        ("providers:\n".encode("utf-16"), "1:1: not UTF-8 text"),
        (bytes(range(1, 200)), "2:118: not UTF-8 text"),
        (b"\x00" * 1000, "1:1: "),
        (b"a: b\n" * 3_000_000, "1:1: the file has 15,000,000 bytes; a configuration may have at most 1,048,576"),
        (b"just text\n", "1:1: the configuration: expected a mapping, got text"),
        (b"- a\n- b\n", "1:1: the configuration: expected a mapping, got a list"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    assert len(raised.value.problems) == 1
    assert str(raised.value).startswith(f"{path}:{message}")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    load_config(path, {})
    parse_config("\ufeff" + SMALL, env={})


def test_windows_line_ends_count_as_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes((SMALL + "zzz: 1\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=r":7:1: unknown key"):
        load_config(path, {})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml:1:1: cannot be read: No such file"):
        load_config(tmp_path / "no.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {})


def test_the_largest_file_allowed_is_read_in_good_time() -> None:
    filler = "# " + "x" * 1000 + "\n"
    text = SMALL + filler * ((MAX_BYTES - len(SMALL)) // len(filler))
    assert lines_of(text) == []
    assert "bytes" in only_line(text + filler * 2)


def test_a_flood_of_mistakes_is_cut() -> None:
    assert len(problems_of("".join(f"k{i}: 1\n" for i in range(10_000)))) == MAX_PROBLEMS + 1


def test_a_text_that_is_no_text() -> None:
    assert only_line("a: \ud800") == "f.yaml:1:1: not UTF-8 text"


def test_a_secret_in_the_file_is_in_no_message() -> None:
    secret = "sk-very-secret-0123456789"
    base = SMALL.replace("sk-test-1234567890", secret)
    broken = [
        base.replace("{api_key:", "{api_kye:"),
        base.replace(secret, f"[{secret}]"),
        base.replace(secret, f"{secret} {secret}"),
        base.replace(secret, f"'{secret}"),
        base.replace(secret, f"{{a: {secret}}}"),
        base.replace("{api_key: " + secret + "}", secret),
        base.replace(secret, f"{secret}, api_key: {secret}"),
        base + f"listen: {{admin_token: [{secret}]}}\n",
    ]
    for text in broken:
        lines = lines_of(text)
        assert lines
        assert not any(secret in line for line in lines), lines


@given(st.text(max_size=200), st.sampled_from(["f.yaml", "f.toml"]))
def test_any_text_is_a_configuration_or_has_problems(text: str, filename: str) -> None:
    problems = problems_of(text, filename=filename)
    assert problems  # none of these texts names a provider
    assert all(p.line >= 1 and p.col >= 1 for p in problems)


LINES = FULL.splitlines()


@given(st.data())
def test_a_configuration_with_lines_lost_and_swapped_never_crashes(data: st.DataObject) -> None:
    lines = data.draw(st.permutations(LINES)) if data.draw(st.booleans()) else LINES
    first = data.draw(st.integers(0, len(lines)))
    kept = lines[:first] + data.draw(st.lists(st.sampled_from(lines), max_size=20))
    assert all(line.startswith("f.yaml:") for line in lines_of("\n".join(kept), KEYS))


@given(
    st.sampled_from(FULL.split()),
    st.sampled_from(["", "5", "null", "[]", "{}", "x", "-1", "true", ": ", "*a", "&a b", "'", '"${']),
)
def test_a_configuration_with_one_word_replaced_never_crashes_nor_tells_a_key(word: str, other: str) -> None:
    text = "\n".join(lines_of(FULL.replace(word, other, 1), KEYS))
    assert not any(key in text for key in KEYS.values())
