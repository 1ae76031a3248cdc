"""Every fault as a script: looked at as data, without a socket."""

import gzip
import itertools
import json
import zlib
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import pytest

from fastroute.mock.anthropic_messages import AnthropicMessages
from fastroute.mock.dialect import Rendered
from fastroute.mock.faults import CONNECTION_KINDS, MODIFIERS, FaultKind, FaultSpec
from fastroute.mock.latency import Pace
from fastroute.mock.mischief import instead, modified, paced, retry_headers, spoiled
from fastroute.mock.openai_chat import OpenAIChat
from fastroute.mock.script import Draft, Ending, Script, Step, healthy

PACE = Pace(first_s=0.5, tpot_s=0.1, headers_s=0.2)
RENDERED = Rendered(b"<role>", [b"<000>", b"<111>", b"<222>", b"<333>", b"<444>"], b"<end>", b"<and>", b"<error>", b"<broken>")
STREAM = Draft(PACE, 5, RENDERED, error=b'{"error":1}')
WHOLE = Draft(PACE, 4, None, b'{"a":"0123456789"}', error=b'{"error":1}')
NOW = 1_700_000_000.0


def spec(kind: str, **parameters: Any) -> FaultSpec:
    return msgspec.convert({"fault": kind, **parameters}, FaultSpec)


def broken(draft: Draft, kind: str, **parameters: Any) -> tuple[Script, list[Step]]:
    script = spoiled(spec(kind, **parameters), draft)
    return script, list(itertools.islice(script.steps, 50))


def body(steps: list[Step]) -> bytes:
    return b"".join(s.payload for s in steps)


def replaced(kind: str, **parameters: Any) -> Script:
    script = instead(spec(kind, **parameters), OpenAIChat(), NOW)
    assert script is not None
    return script


# --- faults that need no answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
def test_a_status_has_the_dialects_own_body(status: int) -> None:
    script = replaced("status", status=status)
    assert (script.status, script.billed) == (status, False)
    assert "message" in json.loads(body(list(script.steps)))["error"]
    anthropic = instead(spec("status", status=status), AnthropicMessages(), NOW)
    assert anthropic is not None
    assert json.loads(body(list(anthropic.steps)))["type"] == "error"


def test_a_502_is_a_gateways_page_unless_said_otherwise() -> None:
    page = replaced("status", status=502)
    assert dict(page.headers)["content-type"].startswith("text/html")
    assert b"502" in body(list(page.steps))
    assert dict(replaced("status", status=502, html=False).headers)["content-type"] == "application/json"
    assert dict(replaced("status", status=503, html=True).headers)["content-type"].startswith("text/html")


def test_own_code_and_message() -> None:
    script = replaced("status", status=429, code="insufficient_quota", message="pay first")
    error = json.loads(body(list(script.steps)))["error"]
    assert (error["code"], error["message"]) == ("insufficient_quota", "pay first")


def test_an_error_can_take_its_time() -> None:
    assert [s.at_s for s in replaced("status", delay_ms=250).steps] == [0.25]


@pytest.mark.parametrize(
    ("form", "expected"),
    [("seconds", ("retry-after", "7")), ("decimal", ("retry-after", "7.200")), ("ms", ("retry-after-ms", "7200"))],
)
def test_a_retry_hint_in_its_forms(form: str, expected: tuple[str, str]) -> None:
    script = replaced("status", status=429, retry_after_s=7.2, retry_after_form=form)
    assert expected in script.headers


def test_a_retry_hint_as_a_date() -> None:
    headers = dict(replaced("status", status=429, retry_after_s=30, retry_after_form="date").headers)
    assert headers["retry-after"].endswith("GMT")
    assert parsedate_to_datetime(headers["retry-after"]).timestamp() == NOW + 30


def test_no_hint_unless_asked_for() -> None:
    assert not any("retry" in name for name, _ in replaced("status", status=429).headers)
    assert retry_headers(None, spec("status").retry_after_form, NOW) == ()


def test_a_page_nothing_and_an_error_with_status_200() -> None:
    page, nothing, error = replaced("html_200"), replaced("empty_200"), replaced("error_in_200")
    assert {page.status, nothing.status, error.status} == {200}
    assert body(list(page.steps)).startswith(b"<!DOCTYPE html>")
    assert (body(list(nothing.steps)), nothing.declared_bytes) == (b"", 0)
    assert "error" in json.loads(body(list(error.steps)))
    assert not (page.billed)
    assert not (nothing.billed)
    assert not error.billed


def test_a_reset_before_the_headers_sends_nothing() -> None:
    script = replaced("reset")
    assert (list(script.steps), script.ending, script.billed) == ([], Ending.RESET, False)


def test_a_hang_sends_nothing_and_stays() -> None:
    script = replaced("hang_before_headers")
    assert (list(script.steps), script.ending, script.billed) == ([], Ending.SILENCE, False)


@pytest.mark.parametrize("parameters", [{"after_chunks": 2}, {"after_chunks": 0}])
def test_a_reset_in_mid_stream_needs_an_answer(parameters: dict[str, Any]) -> None:
    assert instead(spec("reset", **parameters), OpenAIChat(), NOW) is None


def test_every_kind_is_dealt_with_somewhere() -> None:
    for kind in set(FaultKind) - MODIFIERS - CONNECTION_KINDS:
        for draft in (STREAM, WHOLE):
            script = instead(spec(kind), OpenAIChat(), NOW) or spoiled(spec(kind), draft)
            assert isinstance(script, Script)


# --- answers that break ---------------------------------------------------------------------------------------------


def test_a_hang_that_ends_gives_the_whole_answer_later() -> None:
    script, steps = broken(STREAM, "hang_before_headers", resume_after_ms=2000)
    assert body(steps) == b"<role><000><111><222><333><444><end>"
    assert steps[0].at_s == pytest.approx(2.2)
    assert script.ending is Ending.COMPLETE


def test_role_then_silence() -> None:
    script, steps = broken(STREAM, "role_then_silence")
    assert (body(steps), script.ending) == (b"<role>", Ending.SILENCE)


def test_headers_then_silence_for_a_whole_reply() -> None:
    script, steps = broken(WHOLE, "role_then_silence")
    assert (body(steps), script.ending, script.declared_bytes) == (b"", Ending.SILENCE, None)
    assert len(steps) == 1


def test_silence_that_ends() -> None:
    script, steps = broken(STREAM, "role_then_silence", resume_after_ms=1000)
    assert body(steps) == b"<role><000><111><222><333><444><end>"
    assert [steps[0].at_s, steps[1].at_s] == [pytest.approx(0.2), pytest.approx(1.5)]
    assert script.ending is Ending.COMPLETE


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [({}, b"<role><000><111><222>"), ({"after_chunks": 1}, b"<role><000>"), ({"after_chunks": 0}, b"<role>")],
)
def test_a_stall_after_k_chunks(parameters: dict[str, Any], sent: bytes) -> None:
    script, steps = broken(STREAM, "stall_mid_stream", **parameters)
    assert (body(steps), script.ending) == (sent, Ending.SILENCE)


def test_a_cut_never_comes_after_the_last_chunk() -> None:
    _, steps = broken(STREAM, "stall_mid_stream", after_chunks=99)
    assert body(steps) == b"<role><000><111><222><333>"


def test_a_stall_in_a_whole_reply_is_half_a_body() -> None:
    script, steps = broken(WHOLE, "stall_mid_stream")
    assert (body(steps), script.ending) == (WHOLE.body[:9], Ending.SILENCE)


def test_a_stall_that_ends() -> None:
    _, steps = broken(STREAM, "stall_mid_stream", after_chunks=2, resume_after_ms=5000)
    assert [s.at_s for s in steps[2:4]] == [pytest.approx(0.6), pytest.approx(5.7)]
    assert body(steps).endswith(b"<end>")


def test_comments_only_never_end() -> None:
    script, steps = broken(STREAM, "comments_only")
    assert {body([s]) for s in steps} == {b": keep-alive\n\n"}
    assert [s.at_s for s in steps[:3]] == [0.0, 1.0, 2.0]
    assert sum(s.tokens for s in steps) == 0
    assert not script.finite


def test_comments_for_a_whole_reply_are_blank_lines_at_the_asked_pace() -> None:
    _, steps = broken(WHOLE, "comments_only", interval_ms=50)
    assert body(steps[:3]) == b"\n\n\n"
    assert steps[2].at_s == pytest.approx(0.1)


def test_a_reset_after_k_chunks() -> None:
    script, steps = broken(STREAM, "reset", after_chunks=2)
    assert (body(steps), script.ending) == (b"<role><000><111>", Ending.RESET)
    assert steps[-1].at_s == pytest.approx(0.7)


def test_half_an_event_then_the_connection_closes() -> None:
    script, steps = broken(STREAM, "half_sse_line", after_chunks=1)
    assert (body(steps), script.ending) == (b"<role><000><1", Ending.CLOSE)


def test_a_clean_cut_is_good_http_without_an_end() -> None:
    script, steps = broken(STREAM, "clean_cut")
    assert (body(steps), script.ending, script.declared_bytes) == (b"<role><000><111><222>", Ending.COMPLETE, None)


def test_a_clean_cut_of_a_whole_reply_is_half_its_json() -> None:
    script, steps = broken(WHOLE, "clean_cut")
    assert script.ending is Ending.COMPLETE
    with pytest.raises(json.JSONDecodeError):
        json.loads(body(steps))


def test_an_error_event_inside_a_stream() -> None:
    script, steps = broken(STREAM, "error_in_stream", after_chunks=2)
    assert (body(steps), script.ending) == (b"<role><000><111><error>", Ending.COMPLETE)


def test_without_a_stream_the_error_is_the_body() -> None:
    script, steps = broken(WHOLE, "error_in_stream")
    assert (script.status, body(steps)) == (200, b'{"error":1}')


def test_bad_json_comes_first_unless_said_otherwise() -> None:
    assert body(broken(STREAM, "bad_json")[1]) == b"<role><broken>"
    assert body(broken(STREAM, "bad_json", after_chunks=1)[1]) == b"<role><000><broken>"


def test_a_whole_reply_of_bad_json_has_the_right_length() -> None:
    script, steps = broken(WHOLE, "bad_json")
    assert script.declared_bytes == len(body(steps))
    with pytest.raises(json.JSONDecodeError):
        json.loads(body(steps))


@pytest.mark.parametrize("draft", [STREAM, WHOLE])
def test_a_truncated_body_promises_more_than_it_sends(draft: Draft) -> None:
    script, steps = broken(draft, "truncated_body")
    assert script.declared_bytes is not None
    assert 0 < len(body(steps)) < script.declared_bytes
    assert script.ending is Ending.CLOSE


def test_an_endless_stream_goes_on_and_is_charged() -> None:
    script, steps = broken(STREAM, "endless_body", size_bytes=50)
    assert not script.finite
    assert body(steps).startswith(b"<role><000><and><and>")
    assert len(steps) == 50
    assert steps[5].tokens == 10
    assert steps[5].at_s > steps[4].at_s


def test_an_endless_whole_reply() -> None:
    _, steps = broken(WHOLE, "endless_body", size_bytes=8)
    assert body(steps).startswith(b'{"object":"chat.completion","content":"and and ')


def test_broken_answers_are_charged_for_what_was_generated() -> None:
    for kind, tokens in {"stall_mid_stream": 3, "clean_cut": 3, "half_sse_line": 3, "error_in_stream": 3, "bad_json": 0}.items():
        script, steps = broken(STREAM, kind)
        assert script.billed
        assert sum(s.tokens for s in steps) == tokens, kind


# --- modifiers ------------------------------------------------------------------------------------------------------


def test_a_brownout_slows_everything_and_a_drip_only_the_tokens() -> None:
    assert paced(PACE, [spec("brownout", factor=2)]).first_s == pytest.approx(1.0)
    dripping = paced(PACE, [spec("slow_drip", factor=9)])
    assert (dripping.first_s, dripping.tpot_s) == (0.5, pytest.approx(0.9))
    assert paced(PACE, [spec("slow_drip", interval_ms=250)]).tpot_s == 0.25
    assert paced(PACE, [spec("gzip"), spec("clean_cut")]) == PACE


def test_slow_faults_add_up() -> None:
    both = paced(PACE, [spec("brownout", factor=2), spec("slow_drip", factor=3)])
    assert both.tpot_s == pytest.approx(0.6)


def test_a_huge_header() -> None:
    headers = dict(modified(healthy(WHOLE), [spec("huge_header")]).headers)
    assert len(headers["x-padding"]) == 1024 * 1024
    assert len(dict(modified(healthy(WHOLE), [spec("huge_header", size_bytes=9)]).headers)["x-padding"]) == 9


def test_gzip_of_a_whole_reply_has_the_packed_length() -> None:
    script = modified(healthy(WHOLE), [spec("gzip")])
    packed = body(list(script.steps))
    assert ("content-encoding", "gzip") in script.headers
    assert script.declared_bytes == len(packed)
    assert gzip.decompress(packed) == WHOLE.body


def test_gzip_of_a_stream_can_be_read_as_it_comes() -> None:
    script = modified(healthy(STREAM), [spec("gzip")])
    unpacker = zlib.decompressobj(wbits=31)
    assert script.declared_bytes is None
    pieces = [unpacker.decompress(s.payload) for s in script.steps]
    assert pieces[:-1] == [b"<role>", *RENDERED.chunks, b"<end>"]
    assert unpacker.eof


def test_gzip_of_a_cut_answer_is_cut_too() -> None:
    script = modified(spoiled(spec("half_sse_line"), STREAM), [spec("gzip")])
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(body(list(script.steps))).startswith(b"<role><000>")
    assert not unpacker.eof


def test_hints_and_trailers() -> None:
    assert modified(healthy(WHOLE), [spec("early_hints")]).interim.startswith(b"HTTP/1.1 103 ")
    script = modified(healthy(WHOLE), [spec("trailers")])
    assert (script.trailer, script.declared_bytes) == (b"x-checksum: 0\r\n", None)


def test_faults_that_are_no_modifiers_leave_the_script() -> None:
    script = healthy(WHOLE)
    assert modified(script, [spec("clean_cut"), spec("brownout")]) == script
