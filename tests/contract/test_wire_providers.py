"""What holds for which provider, printed as a table; the same table is in `docs/providers.md`."""

import sys

import pytest
from openai_recordings import named, recordings
from providers_page import MARK, PAGE, first_part
from wire_table import COLUMNS, features_of, holds, markdown, table

FOLDERS = {
    *("alibaba", "azure", "cerebras", "databricks", "deepseek", "groq", "huggingface", "mistral", "moonshot", "ollama"),
    *("openai", "openai-compatible", "openrouter", "perplexity", "together", "vercel-gateway", "writer", "xai", "zai", "gemini"),
}


def test_every_recording_of_every_provider_holds_every_law(capsys: pytest.CaptureFixture[str]) -> None:
    if not recordings():
        pytest.skip("no recorded traffic beside the checkout (shared/wire)")
    found = table(recordings())
    with capsys.disabled():
        sys.stdout.write(f"\n{markdown(found)}\n")
    assert found.keys() >= FOLDERS
    assert {p: f for p, row in found.items() for f, (good, n) in row.items() if good != n} == {}
    assert sum(row.get("stream", (0, 0))[1] + row.get("whole", (0, 0))[1] for row in found.values()) >= 140
    assert PAGE.read_text().partition(MARK)[2].strip() == markdown(found), "run make providers"


def test_the_page_tells_of_the_presets_as_they_are() -> None:
    assert PAGE.read_text().startswith(first_part()), "run make providers"


def test_a_recording_that_breaks_a_law_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    names = named("whole", provider="groq/")
    if not names:
        pytest.skip("no recorded traffic beside the checkout (shared/wire)")
    exchange = recordings()[names[0]]
    assert holds(names[0])
    broken = {**exchange, "response": {**exchange["response"], "body": {"choices": []}}}
    monkeypatch.setitem(recordings(), names[0], broken)
    assert not holds(names[0])


def test_cells() -> None:
    if not recordings():
        pytest.skip("no recorded traffic beside the checkout (shared/wire)")
    names = [*named("stream", provider="mistral/"), *named("error")]
    half = table(names, passed=lambda name: not name.startswith("mistral/"))
    streams = len(named("stream", provider="mistral/"))
    assert half["mistral"]["stream"] == (0, streams)
    assert all(row["error"][0] == row["error"][1] for provider, row in half.items() if "error" in row and provider != "mistral")
    assert all(features_of(name) <= set(COLUMNS) for name in recordings())
    text = markdown({"x": {"stream": (1, 2)}})
    assert text.splitlines()[2].startswith("| x | 1/2 | - |")
