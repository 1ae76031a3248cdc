"""The mock model and its canned form: deterministic by seed, priced as reported."""

import json
from typing import Any

import pytest

from fastroute.mock.ask import Ask
from fastroute.mock.canned import Canned
from fastroute.mock.faults import FaultKind, FaultSpec
from fastroute.mock.ledger import Record
from fastroute.mock.model import DIALECTS, Model
from fastroute.mock.schema import EndpointSpec, LatencySpec, OutputSpec
from fastroute.mock.script import healthy

INSTANT = LatencySpec(ttft_ms=0, sigma=0, tpot_ms=0)


def model(seed: int = 1, **members: Any) -> Model:
    usual: dict[str, Any] = {"name": "a", "output_tokens": OutputSpec(mean=5)}
    return Model(EndpointSpec(**{**usual, **members}), seed)


def ask(**members: Any) -> Ask:
    return Ask(**{"model": "m", "transcript": "hello", "input_tokens": 100, **members})


def text(draft_body: bytes) -> str:
    return json.loads(draft_body)["choices"][0]["message"]["content"]


def test_two_models_of_one_seed_agree_in_text_and_luck() -> None:
    first, second = model(), model()
    drafts = [(first.draft(ask(), 0), second.draft(ask(), 0)) for _ in range(5)]
    assert all(text(a.body) == text(b.body) and a.pace == b.pace for a, b in drafts)


def test_another_seed_differs_in_both() -> None:
    one, other = model(seed=1).draft(ask(), 0), model(seed=2).draft(ask(), 0)
    assert text(one.body) != text(other.body)
    assert one.pace != other.pace


def test_the_answers_usage_is_the_bill() -> None:
    mock = model(cached_input_ratio=0.25)
    draft = mock.draft(ask(), 0)
    usage = json.loads(draft.body)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, draft.tokens) == (100, 5)
    assert usage["prompt_tokens_details"]["cached_tokens"] == mock.bill(ask(), 5).cached_tokens == 25


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_stream_has_one_piece_a_token(name: str) -> None:
    draft = model(dialect=name).draft(ask(stream=True), 0)
    assert draft.rendered is not None
    assert len(draft.rendered.chunks) == draft.tokens == 5


def test_faults_slow_the_pace() -> None:
    usual = model().draft(ask(), 0).pace
    slow = model().draft(ask(), 0, (FaultSpec(fault=FaultKind.BROWNOUT, factor=3),)).pace
    assert slow.first_s == pytest.approx(usual.first_s * 3)


def test_a_model_without_names_serves_any() -> None:
    assert model().serves("anything")
    assert model(models=("x",)).serves("x")
    assert not model(models=("x",)).serves("y")


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_canned_answer_is_one_complete_response(name: str) -> None:
    canned = Canned(model(dialect=name, latency=INSTANT))
    head, _, body = canned.response(stream=False).partition(b"\r\n\r\n")
    assert canned.instant
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["usage"]
    assert canned.response(stream=True).endswith(b"\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked" in canned.response(stream=True)


def test_a_canned_answer_with_latency_is_played() -> None:
    canned = Canned(model(latency=LatencySpec(ttft_ms=50, sigma=0)))
    assert not canned.instant
    record = Record("a", 0.0, 0.0)
    script = canned.script(b'{"stream": true}', record)
    assert (record.stream, record.input_tokens) == (True, 16)
    assert list(script.steps) == list(canned.script(b'{"stream":true}', record).steps)
    assert script.declared_bytes is None
    whole = canned.script(b'{"stream": false}', record)
    assert (record.stream, whole.declared_bytes is None) == (False, False)


def test_a_canned_answer_counts_its_tokens() -> None:
    canned = Canned(model(latency=INSTANT))
    assert canned.tokens(stream=False) == canned.tokens(stream=True) == 5


def test_a_canned_script_is_healthy() -> None:
    canned = Canned(model(latency=LatencySpec(ttft_ms=50, sigma=0)))
    assert canned.script(b"{}", Record("a", 0.0, 0.0)).ending is healthy(model().draft(ask(), 0)).ending
