"""What a soak run does: the sidecar and the mock providers it runs, who visits, what breaks when.

The providers are quick, so that a moderate rate keeps few requests open, and limits are short, so that every fault comes to its
end within a few seconds. Faults come in rounds of `ROUND_S`: each kind for a while at some provider, then a quiet stretch, for
what a fault leaves behind must go away again.
"""

from typing import Any

import msgspec

ROUND_S = 20.0

MOCK = """
seed: 5
control_port: {control}
log_requests: 100
endpoints:
  nano: {{port: {nano}, dialect: openai_chat, models: [nano-1], output_tokens: {{mean: 14, sigma: 0.4}},
    latency: {{ttft_ms: 40, sigma: 0.3, per_input_token_ms: 0.001, tpot_ms: 4, straggler_ratio: 0.01, straggler_factor: 10}}}}
  claude: {{port: {claude}, dialect: anthropic_messages, output_tokens: {{mean: 14, sigma: 0.4}},
    latency: {{ttft_ms: 50, sigma: 0.3, per_input_token_ms: 0.001, tpot_ms: 4}}}}
  premium: {{port: {premium}, dialect: openai_chat, output_tokens: {{mean: 14, sigma: 0.4}},
    latency: {{ttft_ms: 45, sigma: 0.2, per_input_token_ms: 0.001, tpot_ms: 3}}}}
  verbose: {{port: {verbose}, dialect: openai_chat, output_tokens: {{mean: 1500, sigma: 0.2}},
    latency: {{ttft_ms: 40, tpot_ms: 0}}}}
"""

SIDECAR = """
version: 1
listen: {{host: 127.0.0.1, port: {port}, admin_port: {admin}, drain_s: 15}}
providers:
  nano-cloud: {{preset: openai-compatible, base_url: "http://127.0.0.1:{nano}/v1", api_key: soak}}
  claude-cloud: {{preset: anthropic-compatible, base_url: "http://127.0.0.1:{claude}", api_key: soak}}
  premium-cloud: {{preset: openai-compatible, base_url: "http://127.0.0.1:{premium}/v1", api_key: soak}}
  verbose-cloud: {{preset: openai-compatible, base_url: "http://127.0.0.1:{verbose}/v1", api_key: soak}}
endpoints:
  nano: {{provider: nano-cloud, model: nano-1, price: {{input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6}}}}
  claude: {{provider: claude-cloud, model: claude-1, price: {{input_usd_per_mtok: 3, output_usd_per_mtok: 15}}}}
  premium: {{provider: premium-cloud, model: premium-1, price: {{input_usd_per_mtok: 10, output_usd_per_mtok: 30}}}}
  verbose: {{provider: verbose-cloud, model: verbose-1, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 3}}}}
x-limits: &limits {{deadline_ms: 6000, first_content_timeout_ms: 1500, stall_timeout_ms: 1500, max_attempts: 3}}
routes:
  auto: {{<<: *limits, objective: {{ttft_ms: 500, total_ms: 2000}}, tiers: [[nano], [claude], [premium]]}}
  chat: {{<<: *limits, objective: {{ttft_ms: 500, target: 0.95}}, tiers: [[nano, claude, premium]]}}
  steady: {{<<: *limits, strategy: weighted, tiers: [[nano, premium], [claude]]}}
  long: {{<<: *limits, deadline_ms: 20000, tiers: [[verbose]]}}
"""
PROVIDERS = ("nano", "claude", "premium", "verbose")
ROUTES = (("auto", 5), ("chat", 3), ("steady", 2))


class Fault(msgspec.Struct, frozen=True):
    """A fault of a round: for `for_s` from its second `at_s` on, as the mock providers' control port takes it."""

    at_s: float
    for_s: float
    endpoint: str
    kind: str
    parameters: dict[str, Any] = {}

    def call(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "fault": self.kind, "for_s": self.for_s, **self.parameters}


ROUNDS: tuple[tuple[Fault, ...], ...] = (
    (
        Fault(0, 4, "nano", "status", {"status": 429, "retry_after_s": 2, "ratio": 0.3}),
        Fault(1, 3, "verbose", "status", {"status": 429, "retry_after_s": 1}),
        Fault(5, 4, "claude", "status", {"status": 500, "ratio": 0.5}),
        Fault(7, 4, "nano", "stall_mid_stream", {"ratio": 0.2}),
        Fault(12, 4, "premium", "reset", {"ratio": 0.4, "after_chunks": 2}),
        Fault(14, 3, "nano", "half_sse_line", {"ratio": 0.3}),
    ),
    (
        Fault(0, 4, "nano", "brownout", {"factor": 8}),
        Fault(4, 3, "claude", "stale_keep_alive", {"ratio": 0.5}),
        Fault(5, 4, "nano", "hang_before_headers", {"ratio": 0.2}),
        Fault(10, 3, "nano", "refuse"),
        Fault(13, 3, "verbose", "truncated_body", {"ratio": 0.5}),
        Fault(14, 3, "nano", "error_in_stream", {"ratio": 0.4}),
    ),
    (
        Fault(0, 3, "*", "reset", {"ratio": 0.3}),
        Fault(4, 3, "nano", "bad_json", {"ratio": 0.3}),
        Fault(5, 3, "claude", "role_then_silence", {"ratio": 0.2}),
        Fault(8, 3, "nano", "gzip", {"ratio": 0.5}),
        Fault(9, 2, "*", "status", {"status": 503}),
        Fault(12, 3, "nano", "html_200", {"ratio": 0.3}),
        Fault(12, 3, "premium", "empty_200", {"ratio": 0.3}),
        Fault(15, 3, "*", "slow_drip", {"factor": 6, "ratio": 0.3}),
    ),
)


def faults(seconds: float) -> list[Fault]:
    """Every fault of a run of that length, in order, `at_s` counted from its start. The last seconds are quiet."""
    found = []
    for turn in range(int(seconds // ROUND_S) + 1):
        for fault in ROUNDS[turn % len(ROUNDS)]:
            begins_s = turn * ROUND_S + fault.at_s
            if begins_s + fault.for_s <= seconds:
                found.append(msgspec.structs.replace(fault, at_s=begins_s))
    return sorted(found, key=lambda f: f.at_s)


VISITS: tuple[tuple[str, float], ...] = (
    ("whole", 24),
    ("whole on a new connection", 7),
    ("whole, large prompt", 3),
    ("stream", 26),
    ("stream on a new connection", 7),
    ("stream, large prompt", 2),
    ("long stream", 0.6),
    ("long stream, slow reader", 0.4),
    ("leaves before an answer", 5),
    ("leaves in the middle of a stream", 6),
    ("leaves a long stream unread", 0.3),
    ("leaves in the middle of its request", 1),
    ("two requests at once", 1),
    ("not JSON", 1.5),
    ("unknown model", 1.5),
    ("wrong type", 1),
    ("unknown path", 1),
    ("wrong method", 0.5),
    ("not HTTP", 0.5),
    ("headers too large", 0.5),
    ("half a head, then silence", 0.1),
    ("what is there", 1.5),
)
"""Kinds of visits and their weights; `bench.soak_client.Visitor` knows what each does."""
