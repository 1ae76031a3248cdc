"""What a reply costs: tokens times price, in whole pico-dollars.

Rules. Exact integers, never a float. A token is charged once: cached tokens at the cached price, tokens written to the
cache at the write price, the rest of the prompt at the input price, the answer (reasoning inside) at the output price.
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
    cached_pusd = price.input_pusd if price.cached_input_pusd is None else price.cached_input_pusd
    write_pusd = price.input_pusd if price.cache_write_pusd is None else price.cache_write_pusd
    return Pusd(
        price.request_pusd
        + cached * cached_pusd
        + written * write_pusd
        + (input_tokens - cached - written) * price.input_pusd
        + max(0, usage.output_tokens) * price.output_pusd
    )
