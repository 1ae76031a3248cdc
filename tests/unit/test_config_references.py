import pytest
from config_support import SMALL, lines_of, only_line, parsed

from fastroute.config.references import is_loopback, url_complaint

PROVIDER = SMALL.replace("openai: {api_key: sk-test-1234567890}", "openai: {%s}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("provider: openai", "provider: opena", "4:20: provider 'opena' is not defined (did you mean 'openai'?)"),
        ("provider: openai", "provider: zzz", "4:20: provider 'zzz' is not defined; defined: openai"),
        ("tiers: [[mini]]", "tiers: [[mini, mani]]", "6:25: endpoint 'mani' is not defined (did you mean 'mini'?)"),
        ("tiers: [[mini]]", "tiers: [mimi]", "6:18: endpoint 'mimi' is not defined (did you mean 'mini'?)"),
        ("tiers: [[mini]]", "endpoints: [mimi]", "6:22: endpoint 'mimi' is not defined (did you mean 'mini'?)"),
        ("tiers: [[mini]]", "tiers: []", "6:17: routes.auto.tiers: needs at least one tier"),
        ("tiers: [[mini]]", "tiers: [[mini], []]", "6:26: routes.auto.tiers[1]: needs at least one endpoint"),
        ("tiers: [[mini]]", "endpoints: []", "6:21: routes.auto.endpoints: needs at least one endpoint"),
        ("tiers: [[mini]]", "tiers: [[mini, mini]]", "6:25: routes.auto.tiers[0]: the same endpoint twice"),
        (
            "tiers: [[mini]]",
            "tiers: [[mini]], endpoints: [mini]",
            "6:27: routes.auto: give either 'tiers' or 'endpoints', not both",
        ),
        ("tiers: [[mini]]", "max_attempts: 2", "6:9: routes.auto: required key 'tiers' is missing"),
    ],
)
def test_names_lead_somewhere(old: str, new: str, message: str) -> None:
    assert only_line(SMALL.replace(old, new)) == "f.yaml:" + message


def test_the_same_endpoint_may_serve_in_two_tiers() -> None:
    assert parsed(SMALL.replace("[[mini]]", "[[mini], mini]")).routes["auto"].tier_names() == (("mini",), ("mini",))


def test_no_endpoint_is_defined_at_all() -> None:
    assert only_line("providers: {openai: {}}\nroutes: {a: {endpoints: [x]}}\n").endswith(
        "endpoint 'x' is not defined; defined: none"
    )


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("rules: [{when: {}, use: {endpoints: [mimi]}}]", "endpoint 'mimi' is not defined (did you mean 'mini'?)"),
        ("rules: [{when: {}, use: {route: atuo}}]", "route 'atuo' is not defined (did you mean 'auto'?)"),
        ("sensitive: [{intents: [medical], allow: [mini, mimi]}]", "endpoint 'mimi' is not defined (did you mean 'mini'?)"),
    ],
)
def test_names_in_planned_sections_lead_somewhere_too(section: str, message: str) -> None:
    assert only_line(SMALL + section + "\n").endswith(message)


def test_a_name_from_the_environment_is_not_shown() -> None:
    line = only_line(SMALL.replace("provider: openai", 'provider: "${P}"'), {"P": "hunter2"})
    assert "the name from the environment is not defined; defined: openai" in line
    assert "hunter2" not in line


# --- providers ---


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("preset: opnai", "preset 'opnai' is not defined (did you mean 'openai'?)"),
        ("preset: azure", "providers.openai: preset 'azure' needs 'base_url', like https://RESOURCE.openai.azure.com"),
        (
            "preset: openai-compatible",
            "providers.openai: preset 'openai-compatible' needs 'base_url', like http://127.0.0.1:8000/v1",
        ),
        ("dialect: anthropic_messages", "providers.openai: a dialect other than the preset's needs 'base_url'"),
        ("preset: azure-foundry, base_url: 'https://x.example'", "providers.openai: preset 'azure-foundry' needs 'api_version'"),
        ("base_url: 'ftp://x'", "providers.openai.base_url: must begin with http:// or https:// and a host"),
        ("base_url: 'https://u:p@x/v1'", "must not hold a user name or password; use 'api_key' or 'headers'"),
        ("base_url: 'https://x/v1?a=b'", "must end with the path; use 'query' for parameters"),
    ],
)
def test_what_a_provider_needs(provider: str, message: str) -> None:
    assert only_line(PROVIDER % provider).endswith(message)


def test_a_provider_named_like_a_preset_needs_no_preset() -> None:
    assert lines_of(PROVIDER % "") == []


def test_any_other_provider_needs_one() -> None:
    line = only_line("providers: {opnai: {}}\n")
    assert line == "f.yaml:1:13: providers.opnai: required key 'preset' is missing (did you mean 'openai'?)"


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://api.openai.com/v1", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000/v1", True),
        ("HTTPS://X.example/", True),
        ("", False),
        ("api.openai.com", False),
        ("https://", False),
        ("https://x:0", False),
        ("https://x:99999", False),
        ("https://x:port", False),
        ("https://[::1", False),
        ("https://x/#f", False),
        ("https://user@x", False),
        ("https://x/a b", False),
        ("https://x/\n", False),
        ("https://bücher.example", False),
    ],
)
def test_urls(url: str, fine: bool) -> None:
    assert (url_complaint(url) is None) == fine


def test_a_complaint_about_a_url_never_repeats_it() -> None:
    for url in ("https://u:hunter2@x", "hunter2", "https://x:hunter2", "https://x/?k=hunter2"):
        assert "hunter2" not in (url_complaint(url) or "")
        assert "hunter2" not in only_line(PROVIDER % f"base_url: '{url}'")


# --- listen ---


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
        (None, False),
    ],  # type: ignore[list-item]
)
def test_what_only_this_machine_can_reach(host: object, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_an_admin_port_for_others_needs_a_token() -> None:
    assert "needs listen.admin_token" in only_line(SMALL + "listen: {admin_host: 0.0.0.0}\n")
    assert "needs listen.admin_token" in only_line(SMALL + 'listen: {admin_host: 0.0.0.0, admin_token: "${T:-}"}\n')
    assert lines_of(SMALL + "listen: {admin_host: 0.0.0.0, admin_token: t0ken}\n") == []


def test_the_data_port_may_be_for_others() -> None:
    assert lines_of(SMALL + "listen: {host: 0.0.0.0}\n") == []


def test_two_servers_cannot_share_a_port() -> None:
    assert only_line(SMALL + "listen: {port: 5000, admin_port: 5000}\n").endswith("listen.admin_port: the same as listen.port")
    assert lines_of(SMALL + "listen: {port: 0, admin_port: 0}\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "providers: 5\n",
        "providers: [a]\nendpoints: [b]\nroutes: c\n",
        "providers: {a: b}\nendpoints: {a: b}\nroutes: {a: b}\nlisten: x\n",
        "providers: {openai: {preset: [a], base_url: 5, dialect: {}}}\n",
        "providers: {openai: {}}\nroutes: {a: {tiers: x}, b: {tiers: [5, [5]]}, c: {endpoints: {a: b}}}\n",
        "providers: {openai: {}}\nendpoints: {a: {provider: [x], model: 5}}\n",
        "providers: {openai: {}}\nrules: x\nsensitive: [1]\n",
        "providers: {openai: {}}\nrules: [{use: {endpoints: x, route: []}}]\n",
        "providers: {openai: {}}\nlisten: {port: [], admin_port: x, admin_host: 5}\n",
    ],
)
def test_wrong_types_are_left_to_the_check_of_types(text: str) -> None:
    assert lines_of(text)
