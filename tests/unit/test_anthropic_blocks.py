"""Single parts as Anthropic content blocks."""

import base64

import msgspec
import pytest

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.anthropic_blocks import FILES_BETA, Block, BlockMaker, plain
from fastroute.dialects.canonical import Audio, Document, Image, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult

MARK = {"type": "ephemeral"}


def made(part: Part) -> list[Block]:
    return BlockMaker([]).blocks(part, "messages[2].content[1]")


def refused(part: Part) -> FaultError:
    with pytest.raises(FaultError) as caught:
        made(part)
    return caught.value


def test_text_with_its_mark_and_citations() -> None:
    assert made(Text("hi")) == [{"type": "text", "text": "hi"}]
    assert made(Text("hi", cache_control=MARK)) == [{"type": "text", "text": "hi", "cache_control": MARK}]
    assert made(Text("hi", citations=[{"type": "char_location"}]))[0]["citations"] == [{"type": "char_location"}]
    assert made(Refusal("no")) == [{"type": "text", "text": "no"}]


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_blank_text_is_left_out(blank: str) -> None:
    assert made(Text(blank, cache_control=MARK)) == []
    assert made(Refusal(blank)) == []


def test_images() -> None:
    assert made(Image(url="https://x/y.png", cache_control=MARK)) == [
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": MARK}
    ]
    assert made(Image(data="R0lGODlh", media_type="image/gif")) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lGODlh"}}
    ]


@pytest.mark.parametrize(
    ("data", "said", "media_type"),
    [
        ("iVBORw0KGgoAAAA", "image/jpeg", "image/png"),
        ("/9j/4AAQ", "image/jpg", "image/jpeg"),
        ("UklGRiQA", None, "image/webp"),
        ("AAAA", "image/webp", "image/webp"),
    ],
)
def test_the_media_type_is_that_of_the_data(data: str, said: str | None, media_type: str) -> None:
    assert made(Image(data=data, media_type=said))[0]["source"]["media_type"] == media_type


@pytest.mark.parametrize(
    "part",
    [
        Image(data="AAAA", media_type="image/bmp"),
        Image(data="AAAA"),
        Image(url="gs://bucket/x.png"),
        Audio("AAAA", "wav"),
        Document(data="AAAA", media_type="application/zip"),
        Opaque("openai", {"type": "video_url"}),
    ],
)
def test_what_has_no_block_is_refused_and_named(part: Part) -> None:
    fault = refused(part).fault
    assert fault.failure is Failure.UNSUPPORTED
    assert fault.param == "messages[2].content[1]"
    assert fault.message


def test_documents() -> None:
    pdf = Document(data="JVBERi0=", media_type="application/pdf", name="a.pdf", cache_control=MARK)
    assert made(pdf) == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
            "cache_control": MARK,
        }
    ]
    assert made(Document(url="https://x/a.pdf"))[0]["source"] == {"type": "url", "url": "https://x/a.pdf"}
    plain_text = {"type": "text", "media_type": "text/plain", "data": "hello"}
    assert made(Document(data="hello", media_type="text/plain"))[0]["source"] == plain_text
    csv = base64.b64encode(b"hello").decode()
    assert made(Document(data=csv, media_type="text/csv"))[0]["source"] == plain_text


def test_a_text_document_that_is_none_is_a_bad_request() -> None:
    assert refused(Document(data="%%%", media_type="text/csv")).fault.failure is Failure.BAD_REQUEST


def test_an_image_in_a_file_part_is_an_image() -> None:
    assert made(Document(data="iVBORw0KGgo", media_type="image/png"))[0]["type"] == "image"


def test_a_file_id_needs_its_beta() -> None:
    maker = BlockMaker([])
    assert maker.blocks(Document(file_id="file_1"), "")[0]["source"] == {"type": "file", "file_id": "file_1"}
    assert maker.betas == {FILES_BETA}


def test_reasoning_goes_back_signed_or_not_at_all() -> None:
    dropped: list[str] = []
    maker = BlockMaker(dropped)
    assert maker.blocks(Thinking("hm", signature="sig"), "") == [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    assert maker.blocks(Thinking("", signature="sig"), "") == [{"type": "thinking", "thinking": "", "signature": "sig"}]
    assert maker.blocks(Thinking(redacted="blob"), "") == [{"type": "redacted_thinking", "data": "blob"}]
    assert dropped == []
    assert maker.blocks(Thinking("hm"), "") == []
    assert dropped == ["reasoning without signature"]


def test_a_call_keeps_its_arguments_as_written() -> None:
    [block] = made(ToolCall("call_1", "f.g", '{"n": 1.50, "big": 12345678901234567890123}'))
    assert (block["type"], block["id"]) == ("tool_use", "call_1")
    assert block["name"].startswith("f_g_")
    assert b'{"n": 1.50, "big": 12345678901234567890123}' in msgspec.json.encode(block)


@pytest.mark.parametrize("nothing", ["", "  ", "{}", "null"])
def test_a_call_without_arguments(nothing: str) -> None:
    [block] = made(ToolCall("c", "f", nothing))
    assert msgspec.json.decode(msgspec.json.encode(block))["input"] == {}


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '"text"', "5", "{'a': 1}"])
def test_arguments_that_are_no_object_are_a_bad_request(arguments: str) -> None:
    fault = refused(ToolCall("c", "f", arguments)).fault
    assert fault.failure is Failure.BAD_REQUEST
    assert fault.param == "messages[2].content[1]"


def test_results() -> None:
    assert made(ToolResult("c", (Text("42"),))) == [{"type": "tool_result", "tool_use_id": "c", "content": "42"}]
    assert made(ToolResult("c")) == [{"type": "tool_result", "tool_use_id": "c"}]
    assert made(ToolResult("c", (Text(" "),), is_error=True)) == [{"type": "tool_result", "tool_use_id": "c", "is_error": True}]
    [block] = made(ToolResult("c", (Text("a"), Image(url="https://x/y")), cache_control=MARK))
    assert [inner["type"] for inner in block["content"]] == ["text", "image"]
    assert block["cache_control"] == MARK


def test_a_block_of_anthropics_own_passes() -> None:
    search = {"type": "search_result", "source": "s", "title": "t", "content": []}
    assert made(Opaque("anthropic", search)) == [search]
    assert made(Opaque("openai_chat", search)) == [search]
    image = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    assert made(Opaque("openai_chat", image)) == [image]


def test_plain_content_is_a_string_only_where_nothing_is_lost() -> None:
    assert plain([{"type": "text", "text": "a"}]) == "a"
    marked = [{"type": "text", "text": "a", "cache_control": MARK}]
    assert plain(marked) == marked
    two = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert plain(two) == two
