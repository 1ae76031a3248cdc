"""Bad input never gives a 5xx, and is told in OpenAI's shape with the field named."""

import json
import random

import pytest
from e2e_support import provider, stack

HI = [{"role": "user", "content": "Hi"}]
DEEP = '{"a":' * 1000 + "1" + "}" * 1000


def chat(**members):
    return json.dumps({"model": "auto", "messages": HI, **members}).encode()


BAD = {
    "empty": (b"", None),
    "not json": (b"hello", None),
    "half json": (b'{"model": "auto", "messages": [', None),
    "null": (b"null", None),
    "number": (b"5", None),
    "list": (b"[]", None),
    "no members": (b"{}", "model"),
    "no messages": (b'{"model": "auto"}', "messages"),
    "messages 5": (chat(messages=5), "messages"),
    "messages null": (chat(messages=None), "messages"),
    "messages empty": (chat(messages=[]), "messages"),
    "message 5": (chat(messages=[5]), "messages[0]"),
    "no role": (chat(messages=[{"content": "x"}]), "messages[0].role"),
    "role 5": (chat(messages=[{"role": 5, "content": "x"}]), "messages[0].role"),
    "content 5": (chat(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
    "model 5": (chat(model=5), "model"),
    "model empty": (chat(model=""), "model"),
    "model null": (chat(model=None), "model"),
    "model with line break": (chat(model="a\r\nx-evil: 1"), "model"),
    "model too long": (chat(model="m" * 5000), "model"),
    "stream yes": (chat(stream="yes"), "stream"),
    "max_tokens -1": (chat(max_tokens=-1), "max_tokens"),
    "max_tokens huge": (chat(max_tokens=10**30), "max_tokens"),
    "n 0": (chat(n=0), "n"),
    "n text": (chat(n="two"), "n"),
    "temperature text": (chat(temperature="hot"), "temperature"),
    "temperature 9": (chat(temperature=9), "temperature"),
    "tools 5": (chat(tools=5), "tools"),
    "deep": (b'{"model": "auto", "messages": %s}' % DEEP.encode(), None),
    "deep metadata": (b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "metadata": %s}' % DEEP.encode(), None),
    "invalid utf-8": (b'{"model": "auto", "messages": [{"role": "user", "content": "\xff\xfe"}]}', None),
    "lone surrogate": (b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}', None),
    "nan": (b'{"model": "auto", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}', None),
    "1e400": (b'{"model": "auto", "temperature": 1e400, "messages": [{"role": "user", "content": "x"}]}', None),
    "NULs": (b"\x00" * 100, None),
}


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
async def test_every_bad_body_is_refused_with_its_field_named(dialect):
    async with stack({"a": provider(dialect)}, "{tiers: [[a]]}") as s:
        for name, (body, field) in BAD.items():
            async with s.http.post(f"{s.url}/v1/chat/completions", data=body) as reply:
                told = json.loads(await reply.read())["error"]
                passed_on = name == "deep metadata" and reply.status == 200  # a provider may take it
                assert 400 <= reply.status < 500 or passed_on, (name, reply.status)
                assert set(told) >= {"message", "type", "param", "code"}, name
                if field:
                    assert (told["param"] or "").replace("[", ".").startswith(field.replace("[", ".").split(".")[0]), (name, told)
        assert (await s.ask())[0] == 200


HEADERS = {
    "x-fastroute-slo-ttft-ms": ["soon", "-5", "nan", "1e999", "0"],
    "x-fastroute-deadline-ms": ["never", "-1", "inf"],
    "x-fastroute-max-cost-usd": ["cheap", "-1"],
    "x-fastroute-hedge": ["maybe"],
    "x-fastroute-tags": ["=", "a"],
    "x-fastroute-route": ["nope"],
}


async def test_a_bad_header_is_named():
    async with stack({"a": provider()}, "{tiers: [[a]]}") as s:
        for header, values in HEADERS.items():
            for value in values:
                status, _, body = await s.ask({header: value})
                assert 400 <= status < 500, (header, value, status)
                assert json.loads(body)["error"]["param"] == header, (header, value)
        assert not s.mocks.requests()


async def test_mutated_bodies_never_give_a_5xx_and_leak_no_key():
    """Seeded mutations of valid requests: members of the wrong kind, cut, doubled, bits flipped."""
    rng = random.Random(5)
    odd = [
        None,
        True,
        -1,
        0,
        1e308,
        10**25,
        "",
        "\x00",
        "é" * 50,
        [],
        {},
        [[]],
        {"a": {}},
        [None],
        "data:image/png;base64,xx",
        "http://127.0.0.1:1/",
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    base = {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
        "tools": [tool],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "stop": ["x"],
        "max_tokens": 5,
        "stream_options": {"include_usage": True},
        "metadata": {"a": "b"},
        "reasoning_effort": "low",
    }

    def places(value, path=()):
        yield path
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            yield from places(inner, (*path, key))

    def mutated():
        body = json.loads(json.dumps(base))
        body["stream"] = rng.random() < 0.3
        path = rng.choice([p for p in places(body) if p])
        target = body
        for key in path[:-1]:
            target = target[key]
        if rng.random() < 0.2:
            del target[path[-1]]
        else:
            target[path[-1]] = rng.choice(odd)
        data = bytearray(json.dumps(body).encode())
        if rng.random() < 0.1:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)

    async with stack({"a": provider(), "b": provider("anthropic_messages", 2)}, "{tiers: [[a], [b]]}") as s:
        for i in range(400):
            model = b'"p-b/model-b"' if i % 2 else b'"auto"'
            body = mutated().replace(b'"auto"', model, 1)
            async with s.http.post(f"{s.url}/v1/chat/completions", data=body) as reply:
                text = await reply.read()
                assert reply.status < 500, (reply.status, body, text)
                assert b"secret-of" not in text
                assert "error" in json.loads(text) if reply.status >= 400 else True


async def test_what_a_client_names_does_not_become_a_header():
    async with stack({"a": provider()}, "{tiers: [[a]]}") as s:
        for rid in ("a b", "é", "x" * 500):
            _, headers, _ = await s.ask({"x-request-id": rid})
            assert headers["x-request-id"] != rid
            assert headers["x-request-id"].isascii()
