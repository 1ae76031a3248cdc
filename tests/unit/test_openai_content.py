"""Parts of a message's content in canonical form."""

import base64
from typing import Any

import pytest

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.canonical import Audio, Document, Image, Opaque, Refusal, Text, Thinking
from fastroute.dialects.openai_content import content_parts, thought

Json = dict[str, Any]
MARK = {"type": "ephemeral"}
B64 = base64.b64encode(b"hello").decode()


def one(part: Any) -> Any:
    [found] = content_parts([part], "messages[0].content")
    return found


def refused(content: Any) -> str | None:
    with pytest.raises(FaultError) as caught:
        content_parts(content, "messages[0].content")
    fault = caught.value.fault
    assert fault.failure is Failure.BAD_REQUEST
    assert fault.param is not None
    assert fault.param in fault.message
    return fault.param


def test_text() -> None:
    assert content_parts("Hi", "x") == [Text("Hi")]
    assert content_parts(None, "x") == []
    assert content_parts("", "x") == []
    assert content_parts(["a", {"type": "text", "text": "b"}], "x") == [Text("a"), Text("b")]
    assert one({"type": "text", "text": "b", "cache_control": MARK, "citations": [1]}) == Text("b", MARK, [1])
    assert one({"type": "input_text", "text": "b"}) == Text("b")


def test_images() -> None:
    assert one({"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}) == Image(
        "https://x/y.png", detail="low"
    )
    assert one({"type": "image_url", "image_url": "https://x/y.png"}) == Image("https://x/y.png")
    inline = one({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{B64}"}, "cache_control": MARK})
    assert inline == Image(data=B64, media_type="image/png", cache_control=MARK)


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        (f"data:image/png;charset=utf-8;base64,{B64}", "image/png", B64),
        (f"DATA:image/PNG;BASE64,{B64}", "image/png", B64),
        (f"data:;base64,{B64}", None, B64),
        ("data:image/svg+xml,%3Csvg/%3E", "image/svg+xml", base64.b64encode(b"<svg/>").decode()),
    ],
)
def test_data_urls_of_every_form(url: str, media_type: str | None, data: str) -> None:
    assert one({"type": "image_url", "image_url": {"url": url}}) == Image(data=data, media_type=media_type)


def test_files() -> None:
    def file(**members: Any) -> Any:
        return one({"type": "file", "file": members})

    pdf = f"data:application/pdf;base64,{B64}"
    assert file(filename="a.pdf", file_data=pdf) == Document(data=B64, media_type="application/pdf", name="a.pdf")
    assert file(filename="a.PDF", file_data=B64) == Document(data=B64, media_type="application/pdf", name="a.PDF")
    assert file(file_data=B64, format="application/pdf") == Document(data=B64, media_type="application/pdf")
    assert file(file_data=B64) == Document(data=B64)
    assert file(file_id="file-1") == Document(file_id="file-1")
    assert file(file_data="https://x/a.pdf", filename="a.pdf") == Document(url="https://x/a.pdf", name="a.pdf")
    assert file(file_url="https://x/a.pdf") == Document(url="https://x/a.pdf")
    assert one({"type": "input_file", "file_id": "f", "cache_control": MARK}) == Document(file_id="f", cache_control=MARK)


def test_plain_text_files_become_text() -> None:
    """Canonical documents of text/plain hold the text itself."""
    for given in (f"data:text/plain;base64,{B64}", "data:text/plain,hello"):
        assert one({"type": "file", "file": {"file_data": given}}) == Document(data="hello", media_type="text/plain")
    assert one({"type": "file", "file": {"file_data": B64, "filename": "a.txt"}}) == Document(
        data="hello", media_type="text/plain", name="a.txt"
    )


def test_sound_and_refusals() -> None:
    assert one({"type": "input_audio", "input_audio": {"data": B64, "format": "wav"}}) == Audio(B64, "wav")
    assert one({"type": "refusal", "refusal": "no"}) == Refusal("no")


def test_what_is_not_known_is_kept_whole() -> None:
    odd = {"type": "hologram", "x": [1]}
    assert one(odd) == Opaque("openai_chat", odd)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "thinking", "thinking": "Hm", "signature": "s"}, Thinking("Hm", "s")),
        ({"type": "thinking", "thinking": "Hm", "signature": None}, Thinking("Hm")),
        ({"type": "thinking", "thinking": "", "signature": "s"}, Thinking("", "s")),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "H"}, {"text": "m"}, 1]}, Thinking("Hm")),
        ({"type": "redacted_thinking", "data": "x"}, Thinking(redacted="x")),
        ({"type": "reasoning.text", "text": "Hm", "signature": "s"}, Thinking("Hm", "s")),
        ({"type": "reasoning.summary", "summary": "Hm"}, Thinking("Hm")),
        ({"type": "reasoning.encrypted", "data": "x"}, Thinking(redacted="x")),
        ({}, Thinking()),
    ],
)
def test_reasoning_of_every_kind(block: Json, expected: Thinking) -> None:
    assert thought(block) == expected
    if block.get("type") in ("thinking", "redacted_thinking"):
        assert one(block) == expected


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (7, ""),
        ({"type": "text"}, ""),
        ([7], "[0]"),
        ([{}], "[0].type"),
        ([{"type": 7}], "[0].type"),
        (["a", {"type": "text"}], "[1].text"),
        ([{"type": "text", "text": None}], "[0].text"),
        ([{"type": "image_url"}], "[0].image_url"),
        ([{"type": "image_url", "image_url": {}}], "[0].image_url.url"),
        ([{"type": "image_url", "image_url": {"url": 7}}], "[0].image_url.url"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64"}}], "[0].image_url.url"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}], "[0].image_url.url"),
        ([{"type": "file"}], "[0].file"),
        ([{"type": "file", "file": {}}], "[0].file.file_data"),
        ([{"type": "file", "file": {"file_data": "data:text/plain;base64,$$$"}}], "[0].file.file_data"),
        ([{"type": "input_audio"}], "[0].input_audio"),
        ([{"type": "input_audio", "input_audio": {"data": "x"}}], "[0].input_audio.format"),
        ([{"type": "refusal"}], "[0].refusal"),
    ],
)
def test_what_is_malformed_is_named(content: Any, param: str) -> None:
    assert refused(content) == "messages[0].content" + param
