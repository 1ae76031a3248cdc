"""`x-fastroute-*` request headers: what is taken, what is refused, and by which name."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Overrides
from fastroute.server.overrides import MAX_COST_USD, MAX_MS, MAX_TAGS, parse_overrides


def parse(*pairs: tuple[str, str]) -> Overrides:
    return parse_overrides(CIMultiDict([("Host", "x"), *((f"X-FastRoute-{name}", value) for name, value in pairs)]))


def refusal(*pairs: tuple[str, str]) -> tuple[str | None, str]:
    with pytest.raises(FaultError) as caught:
        parse(*pairs)
    fault = caught.value.fault
    assert fault.failure is Failure.BAD_REQUEST
    assert fault.code == "invalid_header"
    assert fault.param is not None
    assert fault.param in fault.message
    return fault.param, fault.message


def test_nothing_asked_changes_nothing() -> None:
    assert parse() == Overrides()


def test_everything_at_once() -> None:
    overrides = parse(
        ("Route", "auto"),
        ("SLO-TTFT-ms", "800"),
        ("slo-ms", "8000.5"),
        ("deadline-ms", "1e4"),
        ("max-cost-usd", "0.0125"),
        ("hedge", "off"),
        ("explain", "on"),
        ("tags", "team=search, tier=gold"),
    )
    assert overrides == Overrides(
        route="auto",
        ttft_s=0.8,
        total_s=8.0005,
        deadline_s=10.0,
        max_cost_pusd=12_500_000_000,  # type: ignore[arg-type]
        hedge=False,
        explain=True,
        tags={"team": "search", "tier": "gold"},
    )


@pytest.mark.parametrize("name", ["slo-ttft-ms", "slo-ms", "deadline-ms", "max-cost-usd"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "-1",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e99",
        "0x10",
        "1_000",
        "1,5",
        "ten",
        "1 2",
        "+5",
        "\u0661",
        ".5",
        "1e",
        "99999999999",
    ],
)
def test_numbers_must_be_positive_finite_and_bounded(name: str, value: str) -> None:
    param, message = refusal((name, value))
    assert param == f"x-fastroute-{name}"
    assert "positive number" in message


def test_bounds_are_inclusive() -> None:
    assert parse(("deadline-ms", f"{MAX_MS:.0f}")).deadline_s == MAX_MS / 1000
    assert parse(("max-cost-usd", f"{MAX_COST_USD:.0f}")).max_cost_pusd == 10**16
    assert refusal(("deadline-ms", f"{MAX_MS + 1:.0f}"))


def test_spaces_around_a_value_do_not_count() -> None:
    assert parse(("slo-ms", " 5 ")).total_s == 0.005


@pytest.mark.parametrize("name", ["hedge", "explain"])
@pytest.mark.parametrize("value", ["", "yes", "true", "1", "onn"])
def test_switches_are_on_or_off(name: str, value: str) -> None:
    assert refusal((name, value))[0] == f"x-fastroute-{name}"


@pytest.mark.parametrize(("value", "hedge"), [("on", True), ("OFF", False), ("Off", False)])
def test_hedge(value: str, hedge: bool) -> None:
    assert parse(("hedge", value)).hedge is hedge


@pytest.mark.parametrize("value", ["", "a" * 129, "a\x01b", "caf\u00e9", "a\tb"])
def test_bad_route_names(value: str) -> None:
    assert refusal(("route", value))[0] == "x-fastroute-route"


@pytest.mark.parametrize("value", ["auto", "openai/gpt-4o", "my route", "auto:nitro", "a" * 128])
def test_route_names(value: str) -> None:
    assert parse(("route", value)).route == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "team",
        "=x",
        "team=",
        "a=b,",
        ",",
        "a b=c",
        "a=b c",
        "a=\x07",
        "a=caf\u00e9",
        "a" * 65 + "=b",
        "a=" + "b" * 129,
        "a=1,a=2",
    ],
)
def test_bad_tags(value: str) -> None:
    assert refusal(("tags", value))[0] == "x-fastroute-tags"


def test_too_many_tags() -> None:
    pairs = [f"k{i}=v" for i in range(MAX_TAGS + 1)]
    assert len(parse(("tags", ",".join(pairs[:-1]))).tags) == MAX_TAGS
    assert "at most" in refusal(("tags", ",".join(pairs)))[1]


def test_tag_value_may_contain_equals_signs() -> None:
    assert parse(("tags", "query=a=b")).tags == {"query": "a=b"}


@pytest.mark.parametrize("name", ["route", "slo-ms", "tags", "hedge"])
def test_header_sent_twice_is_refused(name: str) -> None:
    assert "more than once" in refusal((name, "on"), (name, "off"))[1]


def test_unknown_headers_of_the_family_are_ignored() -> None:
    assert parse(("from-the-future", "?")) == Overrides()


@given(st.text(max_size=40))
def test_any_number_text_is_a_bounded_number_or_a_refusal(text: str) -> None:
    try:
        value = parse(("slo-ms", text)).total_s
    except FaultError as error:
        assert error.fault.param == "x-fastroute-slo-ms"  # noqa: PT017
    else:
        assert value is not None
        assert math.isfinite(value)
        assert 0 < value <= MAX_MS / 1000


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
        st.from_regex(r"[!-+\--~]{1,64}", fullmatch=True),
        min_size=1,
        max_size=MAX_TAGS,
    )
)
def test_tags_come_back_as_sent(tags: dict[str, str]) -> None:
    assert parse(("tags", ",".join(f"{k}={v}" for k, v in tags.items()))).tags == tags
