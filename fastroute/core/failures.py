"""One table: what went wrong -> who is told, who is blamed, who may try again.

Rules. Every way an attempt can end badly is a `Failure`; what follows from it is its row in `RULES` and nowhere else.
A `Fault` is one concrete failure with the provider's own words. Texts in a fault never contain credentials:
whoever makes one has scrubbed it.

Source: selection notes 2.8 (error classes); OpenAI, Anthropic error pages; openai-python `_base_client.py` (retries).
"""

import enum

import msgspec


class Failure(enum.StrEnum):
    """Every way an attempt, or a request, can end other than well."""

    CONNECT = "connect"  # refused, DNS, TLS: nothing was sent
    RESET = "reset"  # connection lost before the reply was complete
    FIRST_CONTENT_TIMEOUT = "first_content_timeout"  # no content token in time; headers, pings and roles do not count
    STALL = "stall"  # content began, then nothing for too long
    SERVER_ERROR = "server_error"  # 5xx, or an unreadable status
    OVERLOADED = "overloaded"  # 503, 529
    RATE_LIMITED = "rate_limited"  # 429
    QUOTA_EXHAUSTED = "quota_exhausted"  # 402, 429 insufficient_quota: waiting a second does not help
    AUTH = "auth"  # 401, 403: the key
    NOT_FOUND = "not_found"  # 404: the deployment
    BAD_REQUEST = "bad_request"  # 400, 413, 422: the request itself
    CONTEXT_LENGTH = "context_length"  # the prompt does not fit this model
    CONTENT_FILTER = "content_filter"  # the provider's policy
    UNSUPPORTED = "unsupported"  # this endpoint's dialect cannot say what the request asks
    MALFORMED = "malformed"  # a 200 that is not an answer: HTML, bad JSON, empty
    TRUNCATED = "truncated"  # the reply ended before its own terminal event
    TOO_LARGE = "too_large"  # the reply passed our size limits
    GENERATION_FAILED = (
        "generation_failed"  # the model produced no valid answer (Groq tool_use_failed, Gemini MALFORMED_FUNCTION_CALL)
    )
    DEADLINE = "deadline"  # the request's deadline passed
    CLIENT_GONE = "client_gone"  # the client went away
    SUPERSEDED = "superseded"  # another attempt of the same request was first with content
    NO_CAPACITY = "no_capacity"  # every endpoint refused by breaker, gate or limit
    INTERNAL = "internal"  # our own fault


class Blame(enum.Enum):
    """What a failure tells the endpoint's breaker."""

    NONE = "none"  # says nothing about the endpoint
    ERROR = "error"  # counts as an error, consecutive and in the rate
    RATE = "rate"  # counts in the rate only (429)
    SLOW = "slow"  # counts as a slow answer
    KEY = "key"  # opens the endpoint for minutes: key or deployment is wrong


class Rule(msgspec.Struct, frozen=True):
    """What follows from a failure."""

    failover: bool  # may another endpoint try?
    blame: Blame
    status: int  # HTTP status towards the client when the request ends with it
    type: str  # OpenAI error type
    gate: bool = False  # keep away until the retry hint has passed

    @property
    def about_request(self) -> bool:
        """The failure is a verdict on the request itself, whoever was asked."""
        return self.status == 400


_SERVER, _REQUEST = "server_error", "invalid_request_error"

RULES: dict[Failure, Rule] = {
    Failure.CONNECT: Rule(True, Blame.ERROR, 503, _SERVER),
    Failure.RESET: Rule(True, Blame.ERROR, 503, _SERVER),
    Failure.FIRST_CONTENT_TIMEOUT: Rule(True, Blame.SLOW, 504, _SERVER),
    Failure.STALL: Rule(True, Blame.ERROR, 504, _SERVER),
    Failure.SERVER_ERROR: Rule(True, Blame.ERROR, 503, _SERVER),
    Failure.OVERLOADED: Rule(True, Blame.ERROR, 503, _SERVER, gate=True),
    Failure.RATE_LIMITED: Rule(True, Blame.RATE, 503, "rate_limit_error", gate=True),
    Failure.QUOTA_EXHAUSTED: Rule(True, Blame.KEY, 503, "insufficient_quota"),
    Failure.AUTH: Rule(True, Blame.KEY, 503, _SERVER),
    Failure.NOT_FOUND: Rule(True, Blame.KEY, 503, _SERVER),
    Failure.BAD_REQUEST: Rule(False, Blame.NONE, 400, _REQUEST),
    Failure.CONTEXT_LENGTH: Rule(True, Blame.NONE, 400, _REQUEST),
    Failure.CONTENT_FILTER: Rule(False, Blame.NONE, 400, _REQUEST),
    Failure.UNSUPPORTED: Rule(True, Blame.NONE, 400, _REQUEST),
    Failure.MALFORMED: Rule(True, Blame.ERROR, 503, _SERVER),
    Failure.TRUNCATED: Rule(True, Blame.ERROR, 503, _SERVER),
    Failure.TOO_LARGE: Rule(True, Blame.NONE, 503, _SERVER),
    Failure.GENERATION_FAILED: Rule(True, Blame.NONE, 503, _SERVER),
    Failure.DEADLINE: Rule(False, Blame.SLOW, 504, _SERVER),
    Failure.CLIENT_GONE: Rule(False, Blame.NONE, 499, _REQUEST),
    Failure.SUPERSEDED: Rule(True, Blame.NONE, 503, _SERVER),
    Failure.NO_CAPACITY: Rule(False, Blame.NONE, 503, _SERVER),
    Failure.INTERNAL: Rule(False, Blame.NONE, 500, _SERVER),
}

_BY_STATUS: dict[int, Failure] = {
    400: Failure.BAD_REQUEST,
    401: Failure.AUTH,
    402: Failure.QUOTA_EXHAUSTED,
    403: Failure.AUTH,
    404: Failure.NOT_FOUND,
    408: Failure.SERVER_ERROR,
    409: Failure.SERVER_ERROR,
    413: Failure.BAD_REQUEST,
    422: Failure.BAD_REQUEST,
    424: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    429: Failure.RATE_LIMITED,
    498: Failure.AUTH,
    499: Failure.SERVER_ERROR,
    503: Failure.OVERLOADED,
    529: Failure.OVERLOADED,
}

_BY_CODE: dict[str, Failure] = {
    "context_length_exceeded": Failure.CONTEXT_LENGTH,
    "exceed_context_size_error": Failure.CONTEXT_LENGTH,
    "too_many_prompt_tokens": Failure.CONTEXT_LENGTH,
    "string_above_max_length": Failure.CONTEXT_LENGTH,
    "insufficient_quota": Failure.QUOTA_EXHAUSTED,
    "billing_error": Failure.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": Failure.QUOTA_EXHAUSTED,
    "content_filter": Failure.CONTENT_FILTER,
    "content_policy_violation": Failure.CONTENT_FILTER,
    "tool_use_failed": Failure.GENERATION_FAILED,
    "invalid_api_key": Failure.AUTH,
    "authentication_error": Failure.AUTH,
    "permission_error": Failure.AUTH,
    "model_not_found": Failure.NOT_FOUND,
    "not_found_error": Failure.NOT_FOUND,
    "deploymentnotfound": Failure.NOT_FOUND,
    "rate_limit_exceeded": Failure.RATE_LIMITED,
    "rate_limit_error": Failure.RATE_LIMITED,
    "ratelimitreached": Failure.RATE_LIMITED,
    "overloaded_error": Failure.OVERLOADED,
    "timeout_error": Failure.SERVER_ERROR,
    "api_error": Failure.SERVER_ERROR,
    "server_error": Failure.SERVER_ERROR,
    "internal_server_error": Failure.SERVER_ERROR,
    "request_too_large": Failure.BAD_REQUEST,
    "invalid_request_error": Failure.BAD_REQUEST,
}

_CONTEXT_TEXTS = (
    "maximum context length",
    "too many tokens",
    "prompt too long",
    "prompt is too long",
    "total length of all messages is too long",
    "exceeds the available context size",
    "context window",
)


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One concrete failure: its class, and what the provider (or we) said about it.

    `message` is already scrubbed of credentials and cut to a sane length. `retry_after_s` is the
    provider's hint in seconds; None where it gave none.
    """

    failure: Failure
    message: str
    status: int | None = None  # the upstream's HTTP status
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None

    @property
    def rule(self) -> Rule:
        return RULES[self.failure]


class FaultError(Exception):
    """Carries a `Fault` up to whoever can act on it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def classify(status: int, *labels: str | None, message: str = "") -> Failure:
    """The failure that an upstream's status, its error code and type (most telling first), and its text stand for.

    The provider's code outranks the status, except that nothing overrules a 5xx: a gateway's word about a
    request it could not place is no verdict on the request.
    """
    if status >= 500:
        return _BY_STATUS.get(status, Failure.SERVER_ERROR)
    by_code = next((_BY_CODE[label.lower()] for label in labels if label and label.lower() in _BY_CODE), None)
    generic = by_code in (None, Failure.BAD_REQUEST)
    if generic and status in (400, 413, 422) and any(text in message.lower() for text in _CONTEXT_TEXTS):
        return Failure.CONTEXT_LENGTH
    by_status = _BY_STATUS.get(status)
    if by_code is None or (generic and by_status is not None):
        return by_status or (Failure.BAD_REQUEST if 400 <= status < 500 else Failure.SERVER_ERROR)
    return by_code
