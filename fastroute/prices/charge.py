"""What a reply costs: tokens times price, in whole pico-dollars.

Rules. Exact integers, never a float. A token is charged once: cached tokens at the cached price, tokens written to the
cache at the write price, the rest of the prompt at the input price, the answer at the output price, its reasoning at the
reasoning price where there is one. Where prices rise with the prompt's length, all tokens cost what the highest tier passed says.
Unknown is None: no price, no usage, or a token count the provider did not give makes the whole charge unknown.

What can go wrong. Cached counts that were not reported are charged as plain input, which can only be too much. A provider
that reports more cached tokens than input tokens is held to the input. One-hour cache writes, audio and image tokens and
paid tools (web search) have prices of their own that are not modelled: see docs/decisions/0007.
"""

from fastroute.core.money import Pusd
from fastroute.core.types import Price, Usage


def charge(price: Price | None, usage: Usage | None) -> Pusd | None:
    """The exact cost of `usage` at `price`; None where either is not known."""
    if price is None or usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    input_tokens = max(0, usage.input_tokens)
    cached = min(max(0, usage.cached_input_tokens or 0), input_tokens)
    written = min(max(0, usage.cache_write_tokens or 0), input_tokens - cached)
    output_tokens = max(0, usage.output_tokens)
    rates = price.at(input_tokens)
    cached_pusd = rates.input_pusd if rates.cached_input_pusd is None else rates.cached_input_pusd
    write_pusd = rates.input_pusd if rates.cache_write_pusd is None else rates.cache_write_pusd
    total = (
        price.request_pusd
        + cached * cached_pusd
        + written * write_pusd
        + (input_tokens - cached - written) * rates.input_pusd
        + output_tokens * rates.output_pusd
    )
    if rates.reasoning_pusd is not None and usage.reasoning_tokens:
        total += min(max(0, usage.reasoning_tokens), output_tokens) * (rates.reasoning_pusd - rates.output_pusd)
    return Pusd(total)
