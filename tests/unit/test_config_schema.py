from typing import Any

import msgspec
import pytest
from config_support import SMALL, parsed
from msgspec import inspect
from rich.pretty import pretty_repr

from fastroute.config.check import bare
from fastroute.config.schema import Config, RouteConfig, masked, preset_of
from fastroute.config.section import MASK, PATTERN_WORDS, Section

SECRETS = ["sk-secret-1", "header-secret-2", "query-secret-3", "admin-secret-4", "pg-secret-5", "redis-secret-6", "otel-secret-7"]
WITH_SECRETS = SMALL.replace(
    "openai: {api_key: sk-test-1234567890}",
    "openai: {api_key: sk-secret-1, headers: {X-Auth: header-secret-2}, query: {key: query-secret-3}}",
) + (
    "listen: {admin_token: admin-secret-4}\n"
    "ledger: {url: 'postgresql://me:pg-secret-5@db:5432/x?sslkey=pg-secret-5'}\n"
    "shared_state: {url: 'redis://:redis-secret-6@cache/0'}\n"
    "telemetry: {otel_endpoint: 'https://u:otel-secret-7@collector:4318/v1'}\n"
)


def every_section() -> list[Any]:
    found: dict[type, Any] = {}

    def walk(wanted: Any) -> None:
        wanted = bare(wanted)
        if isinstance(wanted, inspect.StructType) and wanted.cls not in found:
            found[wanted.cls] = wanted
            for field in wanted.fields:
                walk(field.type)
        for below in (*getattr(wanted, "types", ()), getattr(wanted, "value_type", None), getattr(wanted, "item_type", None)):
            if below is not None:
                walk(below)

    walk(inspect.type_info(Config))
    return list(found.values())


def every_field() -> list[Any]:
    return [pytest.param(field, id=f"{s.cls.__name__}.{field.name}") for s in every_section() for field in s.fields]


def below(wanted: Any) -> list[Any]:
    """A type and the types inside it, sections apart."""
    wanted = bare(wanted)
    inside = (*getattr(wanted, "types", ()), getattr(wanted, "value_type", None), getattr(wanted, "item_type", None))
    return [wanted, *(deep for child in inside if child is not None for deep in below(child))]


def test_sections_are_frozen_and_strict() -> None:
    for section in every_section():
        assert section.forbid_unknown_fields, section.cls
        assert issubclass(section.cls, Section)
        assert section.cls.__struct_config__.frozen, section.cls
        assert (section.cls.__doc__ or "").endswith("."), section.cls


@pytest.mark.parametrize("field", every_field())
def test_every_key_is_described_in_a_sentence(field: Any) -> None:
    description = field.type.extra_json_schema["description"]
    assert description[0].isupper() or description[0] in "`me"
    assert description.endswith((".", "..."))


@pytest.mark.parametrize("field", every_field())
def test_every_number_has_both_bounds_and_every_pattern_its_words(field: Any) -> None:
    for wanted in below(field.type):
        if isinstance(wanted, inspect.IntType | inspect.FloatType):
            assert (wanted.ge, wanted.gt) != (None, None)
            assert (wanted.le, wanted.lt) != (None, None)
        if isinstance(wanted, inspect.StrType) and wanted.pattern:
            assert wanted.pattern in PATTERN_WORDS


@pytest.mark.parametrize("field", every_field())
def test_times_and_sizes_carry_their_units(field: Any) -> None:
    described = field.type.extra_json_schema["description"].lower()
    if "seconds" in described:
        assert field.name.endswith("_s")
    if "usd" in described:
        assert "usd" in field.name


# --- secrets ---


@pytest.mark.parametrize(
    "show", [repr, str, pretty_repr, lambda config: repr(masked(config)), lambda config: f"{config.providers}"]
)
def test_no_secret_is_ever_shown(show: Any) -> None:
    text = show(parsed(WITH_SECRETS))
    assert not [secret for secret in SECRETS if secret in text]


def test_masking_keeps_everything_else() -> None:
    plain = masked(parsed(WITH_SECRETS))
    openai = plain["providers"]["openai"]
    assert openai["api_key"] == MASK
    assert openai["headers"] == {"X-Auth": MASK}
    assert openai["query"] == {"key": MASK}
    assert plain["listen"]["admin_token"] == MASK
    assert plain["listen"]["port"] == 4000
    assert plain["ledger"]["url"] == "postgresql://***@db:5432/x?***"
    assert plain["shared_state"]["url"] == "redis://***@cache/0"
    assert plain["telemetry"]["otel_endpoint"] == "https://***@collector:4318/v1"
    assert plain["endpoints"]["mini"]["model"] == "gpt-mini"
    assert plain["routes"]["auto"]["tiers"] == [["mini"]]


def test_masked_values_are_ready_for_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(masked(parsed(WITH_SECRETS))))["version"] == 1


def test_an_absent_secret_is_not_made_to_look_present() -> None:
    plain = masked(parsed(SMALL.replace("sk-test-1234567890", '"${K:-}"')))
    assert plain["providers"]["openai"]["api_key"] is None
    assert plain["providers"]["openai"]["headers"] == {}
    assert plain["listen"]["admin_token"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///fastroute.db", "sqlite:///fastroute.db"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://u:p@w@cache", "redis://***@cache"),
        ("hunter2", "***"),
        ("http://[::1", "***"),
    ],
)
def test_addresses_lose_their_password(url: str, shown: str) -> None:
    config = parsed(SMALL + f"shared_state: {{url: '{url}'}}\n")
    assert masked(config)["shared_state"]["url"] == shown


# --- small things ---


@pytest.mark.parametrize(
    ("route", "tiers"),
    [
        (RouteConfig(tiers=(("a", "b"), ("c",))), (("a", "b"), ("c",))),
        (RouteConfig(tiers=("a", ("b",))), (("a",), ("b",))),
        (RouteConfig(endpoints=("a", "b")), (("a", "b"),)),
    ],
)
def test_tiers_however_written(route: RouteConfig, tiers: Any) -> None:
    assert route.tier_names() == tiers


def test_a_providers_preset_is_named_or_its_own_name() -> None:
    config = parsed("providers: {openai: {}, mine: {preset: groq}}\n")
    assert preset_of("openai", config.providers["openai"]).name == "openai"
    assert preset_of("mine", config.providers["mine"]).name == "groq"


def test_a_configuration_cannot_be_changed() -> None:
    config = parsed(SMALL)
    with pytest.raises(AttributeError):
        config.version = 2  # type: ignore[assignment,misc]


def test_two_readings_of_one_file_are_equal_but_share_nothing_mutable() -> None:
    one, other = parsed(SMALL), parsed(SMALL)
    assert one == other
    assert one.providers["openai"].headers is not other.providers["openai"].headers
