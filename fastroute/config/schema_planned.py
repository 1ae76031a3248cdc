"""The sections of the configuration that later versions act on.

A configuration may hold them today: they are checked and kept, and `resolve` warns that they have no effect yet.
"""

from typing import Annotated, Literal

from msgspec import Meta

from fastroute.config.section import ADDRESS, Objective, Section, Share, Text

PLANNED_SECTIONS = ("rules", "sensitive", "keys", "ledger", "shared_state")
PLANNED_ROUTE_KEYS = ("difficulty", "escalate_on")
PLANNED_TELEMETRY_KEYS = ("log_prompts", "otel_endpoint")

EscalateOn = Literal["invalid_json", "schema_mismatch", "refusal", "empty", "truncated", "low_confidence"]
Number = Annotated[float, Meta(ge=-1e12, le=1e12)]
OneOrMore = Text | tuple[Text, ...]


class Difficulty(Section, frozen=True):
    """Which tier a prompt starts in, by how hard it looks."""

    classifier: Annotated[Text, Meta(description="`builtin`, or the file of a trained model.")] = "builtin"
    tier_from: Annotated[
        tuple[Share, ...] | None, Meta(description="For each tier, the difficulty from which prompts start in it.")
    ] = None


class Bounds(Section, frozen=True):
    """A range of numbers; each bound may be left out."""

    lt: Annotated[Number | None, Meta(description="Less than.")] = None
    le: Annotated[Number | None, Meta(description="At most.")] = None
    gt: Annotated[Number | None, Meta(description="More than.")] = None
    ge: Annotated[Number | None, Meta(description="At least.")] = None


class When(Section, frozen=True):
    """What a request must be for a rule to match; all that is given must hold."""

    task: Annotated[OneOrMore | None, Meta(description="The task, or any of several.")] = None
    language: Annotated[OneOrMore | None, Meta(description="The language, or any of several.")] = None
    input_tokens: Annotated[Bounds | None, Meta(description="Estimated length of the prompt.")] = None
    difficulty: Annotated[Bounds | None, Meta(description="Estimated difficulty, 0..1.")] = None
    tag: Annotated[dict[Text, Text] | None, Meta(description="Tags that the client sent in `x-fastroute-tags`.")] = None
    route: Annotated[OneOrMore | None, Meta(description="The route the client named, or any of several.")] = None


class Use(Section, frozen=True):
    """What a matching request uses instead."""

    endpoints: Annotated[tuple[Text, ...] | None, Meta(description="These endpoints.")] = None
    route: Annotated[Text | None, Meta(description="This route.")] = None
    objective: Annotated[Objective | None, Meta(description="This objective.")] = None


class Rule(Section, frozen=True):
    """A static decision: costs no classification."""

    when: Annotated[When, Meta(description="What must hold.")]
    use: Annotated[Use, Meta(description="What is used then.")]
    name: Annotated[Text | None, Meta(description="Shown in decisions.")] = None


class Sensitive(Section, frozen=True):
    """Where prompts of some intents may go. Binds every attempt."""

    intents: Annotated[tuple[Text, ...], Meta(description="medical, legal, financial, self_harm, ...")]
    allow: Annotated[tuple[Text, ...], Meta(description="Names of endpoints.")]
    on_unavailable: Annotated[Literal["reject"], Meta(description="When none of them is available.")] = "reject"


class Keys(Section, frozen=True):
    """Virtual keys of clients."""

    required: Annotated[bool, Meta(description="Refuse requests without one.")] = False


class Ledger(Section, frozen=True):
    """Where charges are recorded."""

    url: Annotated[Text | None, Meta(description="`sqlite:///FILE` or `postgresql://...`.", extra=ADDRESS)] = None


class SharedState(Section, frozen=True):
    """What replicas share."""

    url: Annotated[Text | None, Meta(description="`redis://...`. Left out: nothing is shared.", extra=ADDRESS)] = None


class Telemetry(Section, frozen=True):
    """Logs and traces."""

    log_prompts: Annotated[bool, Meta(description="Whether prompts may be written to logs.")] = False
    otel_endpoint: Annotated[Text | None, Meta(description="Where traces are sent.", extra=ADDRESS)] = None
