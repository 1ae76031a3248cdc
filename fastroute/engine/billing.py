"""What an attempt cost: the provider's own usage where it was reported, an estimate, marked so, where it was not.

A provider bills what it accepted. A refused attempt (no connection, an error status) costs nothing. One that was cut or
given up costs its prompt and what it wrote until then; where cancelling does not stop the bill, or nobody knows,
the whole expected answer.
"""

from collections.abc import Callable

import msgspec

from fastroute.core.failures import Failure
from fastroute.core.money import Pusd
from fastroute.core.types import ChatRequest, Endpoint, EndpointView, Outcome, Price, Usage

Charge = Callable[[Price | None, Usage], Pusd | None]
"""Price and usage -> exact cost; None: unpriced. `prices.charge` in production."""

NOTHING = Usage(input_tokens=0, output_tokens=0)
_NEVER_ACCEPTED = {Failure.CONNECT, Failure.UNSUPPORTED, Failure.INTERNAL}
_WE_LEFT = {Failure.CLIENT_GONE, Failure.FIRST_CONTENT_TIMEOUT, Failure.STALL, Failure.DEADLINE, Failure.SUPERSEDED}
_NOTHING_SAID = {Failure.RESET, Failure.MALFORMED, Failure.TRUNCATED}


def billed_usage(request: ChatRequest, view: EndpointView, outcome: Outcome, tokens_seen: int) -> Usage:
    """The tokens the provider will bill for an attempt, `estimated` where it did not say.

    `tokens_seen`: output tokens that arrived, as counted by the translator.
    """
    reported, fault = outcome.usage, outcome.fault
    if fault is None:
        return _completed(reported, request, tokens_seen or len(outcome.body) // 4)
    partial = None if reported is None else msgspec.structs.replace(reported, output_tokens=None)
    if fault.failure in _NEVER_ACCEPTED or (outcome.status is not None and outcome.status >= 400):
        return NOTHING
    if fault.failure in _NOTHING_SAID and partial is None and not tokens_seen:
        return NOTHING
    gone = fault.failure in _WE_LEFT
    if gone and not view.endpoint.profile.cancel_stops_billing:
        return _completed(partial, request, max(tokens_seen, expected_output_tokens(request, view)))
    return _completed(partial, request, tokens_seen)


def expected_output_tokens(request: ChatRequest, view: EndpointView) -> int:
    """The answer's expected length, within what the client allows."""
    expected = round(view.output_tokens)
    return expected if request.max_output_tokens is None else min(expected, request.max_output_tokens)


def attempt_cost(endpoint: Endpoint, usage: Usage, charge: Charge) -> tuple[Pusd | None, bool]:
    """Cost and whether it is an estimate. Nothing used costs nothing, even where the model is unpriced."""
    if not usage.input_tokens and not usage.output_tokens:
        return Pusd(0), usage.estimated
    return charge(endpoint.price, usage), usage.estimated


def _completed(reported: Usage | None, request: ChatRequest, output_tokens: int) -> Usage:
    """The reported usage, its gaps filled with estimates."""
    if reported is None:
        return Usage(input_tokens=request.input_tokens, output_tokens=output_tokens, estimated=True)
    if reported.input_tokens is not None and reported.output_tokens is not None:
        return reported
    return Usage(
        input_tokens=request.input_tokens if reported.input_tokens is None else reported.input_tokens,
        output_tokens=output_tokens if reported.output_tokens is None else reported.output_tokens,
        cached_input_tokens=reported.cached_input_tokens,
        cache_write_tokens=reported.cache_write_tokens,
        reasoning_tokens=reported.reasoning_tokens,
        estimated=True,
    )
