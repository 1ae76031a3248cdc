import pytest
from config_support import SMALL, parsed

from fastroute.config.resolve import resolve
from fastroute.core.types import Price

FREE = Price(0, 0)


def warnings(text: str, price: Price | None = FREE) -> tuple[str, ...]:
    return resolve(parsed(text), lambda preset, model: price).warnings


def with_route(route: str) -> tuple[str, ...]:
    return warnings(SMALL.replace("{tiers: [[mini]]}", "{tiers: [[mini]], " + route + "}"))


def test_a_sound_configuration_has_none() -> None:
    assert warnings(SMALL) == ()


@pytest.mark.parametrize(
    ("section", "begins"),
    [
        ("rules: []", "rules: accepted but not acted on in this version"),
        ("sensitive: []", "sensitive: accepted but not acted on in this version; sensitive prompts may go to any endpoint"),
        ("keys: {required: true}", "keys: accepted but not acted on in this version; clients need no key"),
        ("ledger: {url: 'sqlite:///x'}", "ledger: accepted but not acted on in this version"),
        ("shared_state: {url: null}", "shared_state: accepted but not acted on in this version"),
        ("telemetry: {log_prompts: true}", "telemetry.log_prompts: accepted but not acted on in this version"),
        ("telemetry: {otel_endpoint: 'http://c:4318'}", "telemetry.otel_endpoint: accepted but not acted on in this version"),
    ],
)
def test_sections_without_effect(section: str, begins: str) -> None:
    got = warnings(SMALL + section + "\n")
    assert len(got) == 1
    assert got[0].startswith(begins)


def test_telemetry_left_as_it_is_needs_no_warning() -> None:
    assert warnings(SMALL + "telemetry: {log_prompts: false, otel_endpoint: null}\n") == ()


@pytest.mark.parametrize(
    ("route", "warning"),
    [
        ("difficulty: {}", "routes.auto.difficulty: accepted but not acted on in this version"),
        ("escalate_on: [refusal]", "routes.auto.escalate_on: accepted but not acted on in this version"),
        ("objective: {ttft_ms: 20000}", "routes.auto.objective.ttft_ms: 20000 ms is more than deadline_ms, 10000 ms"),
        ("objective: {total_ms: 10001}", "routes.auto.objective.total_ms: 10001 ms is more than deadline_ms, 10000 ms"),
        (
            "first_content_timeout_ms: 10000",
            "routes.auto.first_content_timeout_ms: not less than deadline_ms, so one silent endpoint uses it all up",
        ),
    ],
)
def test_routes(route: str, warning: str) -> None:
    assert with_route(route) == (warning,)


@pytest.mark.parametrize(
    "route",
    [
        "objective: {ttft_ms: 10000, total_ms: 10000}",
        "objective: {total_ms: 60000}, deadline_covers: first_content",
        "first_content_timeout_ms: 9999",
        "strategy: weighted",
    ],
)
def test_routes_that_are_as_they_should_be(route: str) -> None:
    assert with_route(route) == ()


def test_a_weighted_tier_of_nothing() -> None:
    text = SMALL.replace("model: gpt-mini", "model: gpt-mini, weight: 0")
    assert warnings(text) == ()
    assert warnings(text.replace("{tiers:", "{strategy: weighted, tiers:")) == ("routes.auto.tiers[0]: every weight is 0",)


def test_a_provider_without_a_key() -> None:
    text = SMALL.replace("api_key: sk-test-1234567890", "")
    assert warnings(text) == (
        'providers.openai: no api_key, so openai will refuse its requests; write api_key: "${OPENAI_API_KEY}"',
    )
    assert warnings(text.replace("openai: {", "openai: {headers: {Authorization: Bearer x}")) == ()
    assert len(warnings(text.replace("openai: {", "openai: {headers: {X-Team: x}"))) == 1


def test_a_local_server_needs_no_key_and_an_unused_provider_neither() -> None:
    assert warnings(SMALL.replace("endpoints:", "  ollama: {}\n  groq: {}\nendpoints:")) == ()
    assert warnings("providers: {ollama: {}}\nendpoints: {a: {provider: ollama, model: m}}\n") == ()


def test_keys_that_mean_nothing_to_a_provider() -> None:
    text = "providers: {groq: {api_key: k, organization: o, api_version: v}}\nendpoints: {a: {provider: groq, model: m}}\n"
    assert warnings(text) == (
        "providers.groq.organization: groq does not know this; it is sent all the same",
        "providers.groq.api_version: has no effect with preset groq",
    )


def test_an_endpoint_without_a_price() -> None:
    assert warnings(SMALL, None) == ("endpoints.mini: no price known for gpt-mini at openai; its requests are unpriced",)


def test_an_endpoint_hidden_by_a_route() -> None:
    text = SMALL.replace("auto:", "mini:")
    assert warnings(text) == ("endpoints.mini: a route has the same name, so clients cannot name this endpoint",)


def test_no_endpoints_at_all() -> None:
    assert warnings("providers: {ollama: {}}\n") == ("endpoints: none, so only provider/model can be asked for",)


def test_no_warning_tells_a_secret() -> None:
    text = SMALL.replace("openai: {", "openai: {api_version: v, ") + "ledger: {url: 'postgresql://u:hunter2@db/x'}\n"
    got = warnings(text, None)
    assert len(got) == 3
    assert not any("hunter2" in warning or "sk-test" in warning for warning in got)
