"""The config of the mock provider: strict, and every error names its place."""

from pathlib import Path
from typing import Any

import pytest

from fastroute.mock.schema import MockConfigError, PriceSpec, load_mock_config, mock_config

ROOT = Path(__file__).resolve().parents[2]


def refusal(data: Any) -> str:
    with pytest.raises(MockConfigError) as caught:
        mock_config(data, "mock.yaml")
    return str(caught.value)


def test_a_list_and_a_mapping_of_endpoints_mean_the_same() -> None:
    listed = mock_config({"endpoints": [{"name": "a", "port": 0}, {"name": "b", "dialect": "anthropic_messages"}]})
    mapped = mock_config({"endpoints": {"a": {"port": 0}, "b": {"dialect": "anthropic_messages"}}})
    assert listed == mapped


def test_an_endpoint_without_members_has_the_defaults() -> None:
    config = mock_config({"endpoints": {"a": None}})
    (endpoint,) = config.endpoints
    assert (endpoint.name, endpoint.dialect, endpoint.port) == ("a", "openai_chat", 0)
    assert endpoint.api_key is None
    assert not endpoint.bills_after_cancel
    assert (config.seed, config.control_port, config.shared_port) == (0, 0, None)


def test_every_member_can_be_set() -> None:
    config = mock_config(
        {
            "seed": 3,
            "shared_port": 0,
            "log_requests": 5,
            "log_bodies": True,
            "endpoints": {
                "a": {
                    "models": ["m"],
                    "api_key": "secret",
                    "strict": False,
                    "latency": {"ttft_ms": 1, "headers_ms": 0.5, "knee_in_flight": 4, "slope_ratio": 0.5},
                    "output_tokens": {"mean": 3, "sigma": 0.1},
                    "price": {"input_usd_per_mtok": 1, "cached_input_usd_per_mtok": 0.1, "request_usd": 0.01},
                    "cached_input_ratio": 0.5,
                    "bills_after_cancel": True,
                    "limits": {"max_in_flight": 2, "requests_per_minute": 9},
                    "canned": True,
                    "faults": [{"fault": "status", "status": 429, "retry_after_s": 7, "retry_after_form": "date", "ratio": 0.5}],
                }
            },
        }
    )
    (endpoint,) = config.endpoints
    assert endpoint.limits.requests_per_minute == 9
    assert endpoint.faults[0].retry_after_form.value == "date"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"latencies": {}}, "latencies"),
        ({"latency": {"ttft": 3}}, "$.endpoints[0].latency"),
        ({"latency": {"ttft_ms": -1}}, "$.endpoints[0].latency.ttft_ms"),
        ({"latency": {"straggler_ratio": 1.5}}, "straggler_ratio"),
        ({"latency": {"straggler_factor": 0.5}}, "straggler_factor"),
        ({"dialect": "gemini"}, "$.endpoints[0].dialect"),
        ({"port": 70000}, "$.endpoints[0].port"),
        ({"port": "4010"}, "$.endpoints[0].port"),
        ({"name": "has space"}, "$.endpoints[0].name"),
        ({"name": "has/slash"}, "$.endpoints[0].name"),
        ({"output_tokens": {"mean": 0}}, "output_tokens.mean"),
        ({"price": {"input": 1}}, "price"),
        ({"limits": {"max_in_flight": 0}}, "max_in_flight"),
        ({"faults": [{"fault": "explode"}]}, "$.endpoints[0].faults[0].fault"),
        ({"faults": [{"fault": "status", "status": 200}]}, "faults[0].status"),
        ({"faults": [{"fault": "status", "after": 1}]}, "after"),
        ({"faults": [{"fault": "refuse", "ratio": 0.5}]}, "refuse"),
        ({"faults": [{"ratio": 0.5}]}, "fault"),
    ],
)
def test_an_error_names_file_and_member(change: dict[str, Any], told: str) -> None:
    message = refusal({"endpoints": [{"name": "a", **change}]})
    assert message.startswith("mock.yaml: ")
    assert told in message


@pytest.mark.parametrize("data", [None, 3, [], {}, {"endpoints": []}, {"endpoints": {}}, {"endpoints": "a"}])
def test_a_config_without_endpoints_is_refused(data: Any) -> None:
    assert refusal(data)


def test_names_must_differ() -> None:
    assert "a" in refusal({"endpoints": [{"name": "a"}, {"name": "a"}, {"name": "b"}]})


def test_ports_must_differ_but_for_zero() -> None:
    assert "4010" in refusal({"endpoints": [{"name": "a", "port": 4010}, {"name": "b", "port": 4010}]})
    assert "4010" in refusal({"control_port": 4010, "endpoints": [{"name": "a", "port": 4010}]})
    mock_config({"control_port": 0, "shared_port": 0, "endpoints": [{"name": "a"}, {"name": "b"}]})


def test_loads_yaml(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("seed: 4\nendpoints:\n  a: {port: 0}\n")
    assert load_mock_config(path).seed == 4
    assert load_mock_config(str(path)).endpoints[0].name == "a"


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("a: [1\n")
    with pytest.raises(MockConfigError, match=r"m\.yaml: not YAML"):
        load_mock_config(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_mock_config(tmp_path / "none.yaml")


def test_yaml_tags_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("!!python/object/apply:os.getcwd []\n")
    with pytest.raises(MockConfigError):
        load_mock_config(path)


def test_a_charge_is_exact() -> None:
    price = PriceSpec(input_usd_per_mtok=0.15, output_usd_per_mtok=0.6)
    assert price.charge_pusd(1_000_000, 0) == 150_000_000_000
    assert price.charge_pusd(7, 3) == 7 * 150_000 + 3 * 600_000
    assert price.charge_pusd(10, 0, cached_tokens=4) == 10 * 150_000


def test_cached_input_has_its_own_price() -> None:
    price = PriceSpec(input_usd_per_mtok=1, cached_input_usd_per_mtok=0.1)
    assert price.charge_pusd(10, 0, cached_tokens=4) == 6 * 1_000_000 + 4 * 100_000


def test_cached_input_can_be_free() -> None:
    assert PriceSpec(input_usd_per_mtok=1, cached_input_usd_per_mtok=0).charge_pusd(10, 0, cached_tokens=10) == 0


def test_a_price_per_request() -> None:
    assert PriceSpec(request_usd=0.005).per_request_pusd == 5_000_000_000


def test_the_demo_config_has_its_three_endpoints() -> None:
    config = load_mock_config(ROOT / "configs" / "demo-mock.yaml")
    assert [e.name for e in config.endpoints] == ["nano", "claude-mid", "premium"]
    assert [e.port for e in config.endpoints] == [4010, 4011, 4012]
    assert config.control_port == 4019
    prices = [e.price.output_usd_per_mtok for e in config.endpoints]
    assert prices == sorted(prices)
    assert config.endpoints[1].dialect == "anthropic_messages"
