"""The vocabulary of a mock model: plain ASCII, so that a word needs no escaping in JSON."""

from random import Random

_VOCABULARY = """
    the a this that each every some most few many one two three several answer question river harbour lantern copper meadow
    winter summer morning evening north south signal station bridge garden window market letter number ticket invoice order
    account customer engineer planet orbit engine circuit ledger budget deadline latency route model token prompt reply stream
    packet measures carries finds keeps sends returns opens closes follows crosses explains improves reduces balances quickly
    slowly often rarely always again because although while under over between before after near beyond clear quiet bright
    steady simple careful useful open local remote early late green amber silver
"""
WORDS = tuple(_VOCABULARY.split())

_SENTENCE_WORDS = 12


def prose(count: int, rng: Random) -> list[str]:
    """`count` words as a model emits them: sentences, each word after the first with its space before it."""
    words = rng.choices(WORDS, k=count)
    out = [f" {w}" for w in words]
    for start in range(0, count, _SENTENCE_WORDS):
        out[start] = " " + words[start].capitalize()
        if start:
            out[start - 1] += "."
    out[0] = out[0].lstrip()
    out[-1] += "."
    return out
