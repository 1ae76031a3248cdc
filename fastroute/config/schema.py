"""The configuration file as types: what each key means, what it may be, what it is when left out.

These types are the only place that knows. The checks (`check.py`), the JSON Schema and the reference page (`describe.py`)
are all read from the annotations here. What the sections share is in
`section.py`, the sections of later versions in `schema_planned.py`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from fastroute.config.presets import Preset, presets
from fastroute.config.schema_planned import (
    Difficulty,
    EscalateOn,
    Keys,
    Ledger,
    Rule,
    Sensitive,
    SharedState,
    Telemetry,
)
from fastroute.config.section import (
    ADDRESS,
    SECRET,
    Header,
    HeaderValue,
    Milliseconds,
    Model,
    Name,
    Objective,
    ProviderName,
    Secret,
    Section,
    Share,
    Text,
)

DEFAULT_PORT = 4000
DEFAULT_ADMIN_PORT = 4001
DEFAULT_DEADLINE_MS = 10_000
MEBIBYTE = 1 << 20

Port = Annotated[int, Meta(ge=0, le=65_535)]
UsdPerMtok = Annotated[float, Meta(ge=0, le=1_000_000)]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Listen(Section, frozen=True):
    """Where the data port and the admin port listen, and their limits."""

    host: Annotated[Text, Meta(description="Address of the data port.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Data port; 0 takes a free one.")] = DEFAULT_PORT
    admin_host: Annotated[Text, Meta(description="Address of the admin port. Anything but loopback needs `admin_token`.")] = (
        "127.0.0.1"
    )
    admin_port: Annotated[Port, Meta(description="Admin port: dashboard, metrics; 0 takes a free one.")] = DEFAULT_ADMIN_PORT
    admin_token: Annotated[Secret | None, Meta(description="Token that the admin port asks for.", extra=SECRET)] = None
    drain_s: Annotated[float, Meta(ge=0, le=3600, description="Seconds that requests in flight get to end after SIGTERM.")] = (
        25.0  # below the 30 s after which Kubernetes kills
    )
    max_body_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 30, description="Largest request body taken; larger ones get a 413.")
    ] = 64 * MEBIBYTE
    body_timeout_ms: Annotated[Milliseconds, Meta(description="A request's body must have arrived within this time.")] = 30_000


class Quirks(Section, frozen=True):
    """How a compatible server departs from its dialect. Left out: as its preset says."""

    max_tokens_field: Annotated[
        Literal["max_tokens", "max_completion_tokens", "either"] | None,
        Meta(
            description="The spelling the server knows; the client's other one is renamed. `either`: left as the client wrote it."
        ),
    ] = None
    stream_usage: Annotated[bool | None, Meta(description="Takes `stream_options.include_usage`.")] = None
    reasoning_in_output: Annotated[bool | None, Meta(description="Its completion tokens contain the reasoning tokens.")] = None
    done_sentinel: Annotated[bool | None, Meta(description="Ends its streams with `[DONE]`.")] = None
    developer_role: Annotated[bool | None, Meta(description="Knows the role `developer`; else it is sent as `system`.")] = None


class Tls(Section, frozen=True):
    """TLS with a provider, where the usual is not enough: verified with the system's roots, named as in its address."""

    ca_file: Annotated[Text | None, Meta(description="File (PEM) of the authorities to trust, instead of the system's.")] = None
    verify: Annotated[
        bool, Meta(description="`false` trusts any certificate: whoever is on the way can read keys and prompts.")
    ] = True
    client_cert: Annotated[Text | None, Meta(description="File (PEM) of the certificate to show to the provider.")] = None
    client_key: Annotated[Text | None, Meta(description="File (PEM) of its private key. Left out: it is in the same file.")] = (
        None
    )
    server_name: Annotated[Text | None, Meta(description="Name to ask for and to verify. Left out: the host of the address.")] = (
        None
    )


class Provider(Section, frozen=True):
    """An account with a provider: where it is and how to authenticate."""

    preset: Annotated[
        str | None,
        Meta(
            description="How this provider speaks; see the table of presets. Left out: the preset of the provider's own name.",
            extra_json_schema={"enum": [*presets(), None]},
        ),
    ] = None
    api_key: Annotated[
        Secret | None,
        Meta(description='The key, as a rule `"${OPENAI_API_KEY}"` or the like. Empty: none is sent.', extra=SECRET),
    ] = None
    base_url: Annotated[
        Text | None, Meta(description="Replaces the preset's address. A trailing slash or chat path is taken off.")
    ] = None
    headers: Annotated[
        dict[Header, HeaderValue], Meta(description="Sent with every request; they win over the preset's.", extra=SECRET)
    ] = field(default_factory=dict)
    query: Annotated[dict[Text, str], Meta(description="Added to the query of every request.", extra=SECRET)] = field(
        default_factory=dict
    )
    dialect: Annotated[
        Literal["openai_chat", "anthropic_messages", "gemini", "anthropic_vertex", "bedrock_converse", "openai_responses"] | None,
        Meta(description="Speaks another dialect than its preset says; needs `base_url`."),
    ] = None
    auth: Annotated[
        Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "sigv4", "none"] | None,
        Meta(
            description="How the key is sent, where the preset's way is not the one: `bearer` for Entra tokens; `sigv4` signs "
            "for AWS, `api_key` being `ID:SECRET` or `ID:SECRET:TOKEN`."
        ),
    ] = None
    region: Annotated[
        Text | None,
        Meta(
            description="Region of its endpoints, for display and for telling them apart; with `auth: sigv4` the one to sign "
            "for, where the address does not tell it."
        ),
    ] = None
    organization: Annotated[HeaderValue | None, Meta(description="OpenAI organization, sent as `OpenAI-Organization`.")] = None
    project: Annotated[HeaderValue | None, Meta(description="OpenAI project, sent as `OpenAI-Project`.")] = None
    api_version: Annotated[Text | None, Meta(description="Azure: the `api-version`; selects the classic deployments path.")] = (
        None
    )
    quirks: Annotated[Quirks | None, Meta(description="How this server departs from its dialect.")] = None
    list_models: Annotated[
        bool | None,
        Meta(
            description="Whether `/v1/models` lists every model known at this provider, as `provider/model`. Left out: only "
            "where no endpoint uses it. Any model can be asked for all the same."
        ),
    ] = None
    proxy: Annotated[
        Text | None,
        Meta(description='Proxy on the way, like `"${HTTPS_PROXY}"` or `http://user:password@host:3128`.', extra=ADDRESS),
    ] = None
    tls: Annotated[Tls | None, Meta(description="TLS with it, where the usual is not enough.")] = None


class PriceOverride(Section, frozen=True):
    """What a model costs. Wins over the price catalog."""

    input_usd_per_mtok: Annotated[UsdPerMtok, Meta(description="USD per million prompt tokens. 0 is free.")]
    output_usd_per_mtok: Annotated[UsdPerMtok, Meta(description="USD per million output tokens. 0 is free.")]
    cached_input_usd_per_mtok: Annotated[
        UsdPerMtok | None, Meta(description="USD per million prompt tokens read from the provider's cache. Left out: as input.")
    ] = None
    cache_write_usd_per_mtok: Annotated[
        UsdPerMtok | None, Meta(description="USD per million prompt tokens written to the provider's cache. Left out: as input.")
    ] = None
    usd_per_request: Annotated[float, Meta(ge=0, le=10_000, description="USD per request, on top of the tokens.")] = 0.0


class Limits(Section, frozen=True):
    """What an endpoint can take: at once, and per minute."""

    max_in_flight: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None, Meta(description="Most requests in flight. Left out: no limit of ours.")
    ] = None
    rpm: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)] | None,
        Meta(description="Requests in any 60 s; endpoints with the same provider and model share it. Left out: as headers tell."),
    ] = None
    tpm: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000_000_000)] | None,
        Meta(description="Tokens in any 60 s, prompt and answer; shared likewise. Left out: as headers tell."),
    ] = None


class CapabilitiesOverride(Section, frozen=True):
    """What a model can do. Left out: as the model catalog says, else not known and not held against it."""

    vision: Annotated[bool | None, Meta(description="Takes images.")] = None
    tools: Annotated[bool | None, Meta(description="Calls tools.")] = None
    json_schema: Annotated[bool | None, Meta(description="Keeps to a JSON Schema in `response_format`.")] = None
    context_tokens: Annotated[Tokens | None, Meta(description="Prompt and answer together.")] = None
    max_output_tokens: Annotated[Tokens | None, Meta(description="Longest answer.")] = None


class Expected(Section, frozen=True):
    """The latency to expect before anything was measured."""

    ttft_ms: Annotated[
        Annotated[float, Meta(gt=0, le=3_600_000)] | None, Meta(description="Time to the first token, for a short prompt.")
    ] = None
    tpot_ms: Annotated[
        Annotated[float, Meta(gt=0, le=60_000)] | None, Meta(description="Time per output token after the first.")
    ] = None


class EndpointConfig(Section, frozen=True):
    """One model at one provider."""

    provider: Annotated[Text, Meta(description="A name from `providers`.")]
    model: Annotated[
        Model,
        Meta(description="The provider's own name of the model (Azure: of the deployment)."),
    ]
    region: Annotated[Text | None, Meta(description="Left out: the provider's.")] = None
    price: Annotated[PriceOverride | None, Meta(description="Left out: from the price catalog.")] = None
    skills: Annotated[dict[Text, Share], Meta(description="Quality by task, 0..1; `default` stands for every other task.")] = (
        field(default_factory=dict)
    )
    weight: Annotated[float, Meta(ge=0, le=1_000_000, description="Share of the traffic under the strategy `weighted`.")] = 1.0
    limits: Annotated[Limits | None, Meta(description="What the endpoint can take.")] = None
    capabilities: Annotated[CapabilitiesOverride | None, Meta(description="What the model can do.")] = None
    expected: Annotated[Expected | None, Meta(description="Latency to expect before anything was measured.")] = None
    cancel_stops_billing: Annotated[
        bool | None, Meta(description="Whether closing a stream early stops the bill. Left out: as the preset says.")
    ] = None


class Hedge(Section, frozen=True):
    """Duplicates of requests that wait so long that they are about to miss their objective."""

    max_ratio: Annotated[Share, Meta(description="Most duplicates per request; 0: none.")] = 0.05
    max_spend_ratio: Annotated[Share, Meta(description="Most spend on duplicates, as a share of what the route spends.")] = 0.05


class RouteConfig(Section, frozen=True):
    """What clients name in `model`: objectives, and tiers of endpoints to meet them with."""

    objective: Annotated[Objective | None, Meta(description="Left out: none; the cheapest endpoint that works.")] = None
    deadline_ms: Annotated[Milliseconds, Meta(description="One deadline for queueing and all attempts together.")] = (
        DEFAULT_DEADLINE_MS
    )
    deadline_covers: Annotated[
        Literal["last_byte", "first_content"],
        Meta(description="What must have come by the deadline. `first_content` lets a stream that has begun outlive it."),
    ] = "last_byte"
    first_content_timeout_ms: Annotated[
        Milliseconds | None, Meta(description="Longest wait for an attempt's first content. Left out: from the time left.")
    ] = None
    stall_timeout_ms: Annotated[
        Milliseconds | None, Meta(description="Longest silence inside a stream. Left out: from the endpoint's pace.")
    ] = None
    max_attempts: Annotated[int, Meta(ge=1, le=10, description="Most attempts for one request, the first included.")] = 3
    tiers: Annotated[
        tuple[Text | tuple[Text, ...], ...] | None,
        Meta(
            description="Lists of endpoint names; the first tier serves, the others are fallbacks. A bare name is a tier of one."
        ),
    ] = None
    endpoints: Annotated[tuple[Text, ...] | None, Meta(description="Shorthand for a single tier; instead of `tiers`.")] = None
    strategy: Annotated[
        Literal["cost_slo", "least_latency", "weighted", "round_robin"],
        Meta(description="How the endpoints of a tier are ranked."),
    ] = "cost_slo"
    on_infeasible: Annotated[
        Literal["mildest", "cheapest", "reject"],
        Meta(description="When no endpoint is likely to meet the objective: least likely to miss, cheapest, or 503."),
    ] = "mildest"
    difficulty: Annotated[Difficulty | None, Meta(description="Which tier a prompt starts in.")] = None
    hedge: Annotated[
        Hedge | None,
        Meta(
            description="Duplicates of requests that are about to miss their objective. Left out: the defaults, where the "
            "route has an objective. Without an objective: duplicates of the slowest 5 %, only where this is given."
        ),
    ] = None
    escalate_on: Annotated[tuple[EscalateOn, ...] | None, Meta(description="Answers that go to the next tier.")] = None

    def tier_names(self) -> tuple[tuple[str, ...], ...]:
        """The names of the endpoints by tier, whichever way they were written."""
        if self.tiers is None:
            return (self.endpoints or (),)
        return tuple((tier,) if isinstance(tier, str) else tier for tier in self.tiers)


class Statistics(Section, frozen=True):
    """What is learned about endpoints, and where it outlives the process."""

    file: Annotated[
        Text | None,
        Meta(
            description="File that statistics are written to every minute and at the end, and read from at the start at half "
            "their weight; what is over a day old is discarded. One for each sidecar. Left out: a restart is cold."
        ),
    ] = None


class Config(Section, frozen=True, kw_only=True):
    """A whole configuration file. Top-level keys that begin with `x-` are ignored: a place for YAML anchors."""

    version: Annotated[Literal[1], Meta(description="Version of this format.")] = 1
    listen: Annotated[Listen, Meta(description="Where the sidecar listens.")] = Listen()
    providers: Annotated[
        dict[ProviderName, Provider], Meta(min_length=1, description="Accounts with providers, by a name of your choice.")
    ]
    endpoints: Annotated[
        dict[Name, EndpointConfig],
        Meta(description="Models at providers, by a name of your choice. Clients may name one directly."),
    ] = field(default_factory=dict)
    routes: Annotated[dict[Name, RouteConfig], Meta(description="What clients name in `model`.")] = field(default_factory=dict)
    rules: Annotated[tuple[Rule, ...] | None, Meta(description="First match wins.")] = None
    sensitive: Annotated[tuple[Sensitive, ...] | None, Meta(description="Where sensitive prompts may go.")] = None
    keys: Annotated[Keys | None, Meta(description="Virtual keys of clients.")] = None
    ledger: Annotated[Ledger | None, Meta(description="Where charges are recorded.")] = None
    shared_state: Annotated[SharedState | None, Meta(description="What replicas share.")] = None
    telemetry: Annotated[Telemetry, Meta(description="Logs and traces.")] = Telemetry()
    statistics: Annotated[Statistics, Meta(description="What is learned about endpoints.")] = Statistics()


def preset_of(name: str, provider: Provider) -> Preset:
    """The preset of a provider: the one it names, else the one of its own name. Raises `KeyError` where there is none."""
    return presets()[provider.preset or name]


def masked(config: Config) -> dict[str, Any]:
    """The configuration as plain values with `***` for every secret. For display; it cannot be loaded again."""
    return config.masked()
