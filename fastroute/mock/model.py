"""The mock model of one endpoint: a checked request in, a draft of its answer out. No sockets; deterministic by seed."""

from collections.abc import Iterable, Mapping
from random import Random

from fastroute.mock.answer import compose
from fastroute.mock.anthropic_messages import AnthropicMessages
from fastroute.mock.ask import Ask
from fastroute.mock.dialect import Bill, MockDialect
from fastroute.mock.faults import FaultSpec
from fastroute.mock.latency import PaceSource
from fastroute.mock.mischief import paced, tail_of
from fastroute.mock.openai_chat import OpenAIChat
from fastroute.mock.schema import EndpointSpec
from fastroute.mock.script import Draft

DIALECTS: Mapping[str, MockDialect] = {d.name: d for d in (OpenAIChat(), AnthropicMessages())}


class Model:
    """Answers in the words, and at the pace, of one endpoint."""

    def __init__(self, spec: EndpointSpec, seed: int) -> None:
        self._spec = spec
        self.names = spec.models
        self.dialect = DIALECTS[spec.dialect]
        self._salt = f"{seed}:{spec.name}"
        self._paces = PaceSource(spec.latency, Random(f"{self._salt}:pace"))
        self._ids = Random(f"{self._salt}:ids")

    def serves(self, name: str) -> bool:
        return not self.names or name in self.names

    def bill(self, ask: Ask, output_tokens: int) -> Bill:
        return Bill(ask.input_tokens, int(ask.input_tokens * self._spec.cached_input_ratio), output_tokens)

    def draft(self, ask: Ask, in_flight: int, faults: Iterable[FaultSpec] = ()) -> Draft:
        """The answer, not yet laid out in time. `in_flight` others are before it."""
        answer = compose(ask, self._salt, self._spec.output_tokens, self._ids)
        pace = paced(self._paces.draw(ask.input_tokens, in_flight, tail_of(faults)), faults)
        bill = self.bill(ask, answer.output_tokens)
        error = self.dialect.error(self.dialect.refusal(500))
        if ask.stream:
            return Draft(pace, answer.output_tokens, self.dialect.stream(ask, answer, bill), error=error)
        return Draft(pace, answer.output_tokens, None, self.dialect.whole(ask, answer, bill), error)
