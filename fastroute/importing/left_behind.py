"""LiteLLM's keys that have no counterpart: why not, and what to do instead. Read by the importer and told to the user.

Each entry is one key below its section; where two sections share a key, the reason is the same.
"""

from typing import NamedTuple


class Reason(NamedTuple):
    """Why a key is not mapped, and what to do instead."""

    why: str
    instead: str = ""


_SHARED = Reason("replicas share nothing in this version", "`limits` hold for each sidecar: divide rpm and tpm by their number")
_CACHE = Reason("answers are not cached here", "providers' own prompt caches work as ever")
_SINKS = Reason("callbacks are not called", "use /metrics on the admin port and the request log")
_KEYS = Reason("clients need no key in this version", "keep the data port on loopback or behind your own gateway")
_DATABASE = Reason("no database is needed", "charges are in the request log and in /metrics")
_BREAKER = Reason("each endpoint has a circuit breaker that needs no setting")
_RETRY = Reason("what is retried is decided by one table of failures", "`max_attempts` of the route bounds it")
_DROP = Reason("members that a provider does not take are left out or refused, by its preset", "see docs/providers.md")
_DEFAULTS = Reason("no defaults are added to requests", "let clients send it")
_GUARD = Reason("guardrails are not run here", "put them in front of the sidecar")
_CREDENTIALS = Reason(
    "this way of signing in has no counterpart in the importer", "give an access token as the provider's `api_key`"
)
_CHECKS = Reason("requests that do not fit an endpoint's context or abilities never go there", "nothing needs to be set")
_COOL = Reason("an endpoint that fails is left out by its circuit breaker", "nothing needs to be set")
_DEPLOYMENT_BUDGET = Reason("budgets are not kept in this version")

UNKNOWN = Reason("no counterpart is known", "see docs/from-litellm.md")

REASONS: dict[str, Reason] = {
    # shared state and caches
    "redis_host": _SHARED,
    "redis_port": _SHARED,
    "redis_password": _SHARED,
    "redis_url": _SHARED,
    "redis_ssl": _SHARED,
    "redis_username": _SHARED,
    "redis_db": _SHARED,
    "use_redis_transaction_buffer": _SHARED,
    "cache": _CACHE,
    "cache_params": _CACHE,
    "cache_responses": _CACHE,
    "cache_kwargs": _CACHE,
    "enable_caching_on_provider_specific_optional_params": _CACHE,
    # sinks
    "callbacks": _SINKS,
    "success_callback": _SINKS,
    "failure_callback": _SINKS,
    "service_callbacks": _SINKS,
    "alerting": _SINKS,
    "alerting_threshold": _SINKS,
    "alerting_args": _SINKS,
    "alert_types": _SINKS,
    "langfuse_default_tags": _SINKS,
    "turn_off_message_logging": Reason("prompts are never logged unless `telemetry.log_prompts` says so"),
    "set_verbose": Reason("a matter of starting", "`fastroute serve --log-level debug`"),
    "json_logs": Reason("the log is JSON lines always"),
    "detailed_debug": Reason("a matter of starting", "`fastroute serve --log-level debug`"),
    # keys, users, database
    "master_key": _KEYS,
    "custom_auth": _KEYS,
    "enable_jwt_auth": _KEYS,
    "litellm_jwtauth": _KEYS,
    "allowed_ips": _KEYS,
    "max_parallel_requests_per_key": _KEYS,
    "default_team_settings": _KEYS,
    "public_routes": _KEYS,
    "ui_access_mode": _KEYS,
    "default_internal_user_params": _KEYS,
    "upperbound_key_generate_params": _KEYS,
    "key_generation_settings": _KEYS,
    "database_url": _DATABASE,
    "database_connection_pool_limit": _DATABASE,
    "database_connection_timeout": _DATABASE,
    "store_model_in_db": _DATABASE,
    "store_prompts_in_spend_logs": _DATABASE,
    "disable_spend_logs": _DATABASE,
    "proxy_batch_write_at": _DATABASE,
    "allow_requests_on_db_unavailable": _DATABASE,
    "database_type": _DATABASE,
    "max_budget": _DEPLOYMENT_BUDGET,
    "budget_duration": _DEPLOYMENT_BUDGET,
    "provider_budget_config": _DEPLOYMENT_BUDGET,
    "default_max_internal_user_budget": _DEPLOYMENT_BUDGET,
    # routing
    "allowed_fails": _BREAKER,
    "allowed_fails_policy": _BREAKER,
    "cooldown_time": _COOL,
    "disable_cooldowns": _COOL,
    "retry_after": _RETRY,
    "retry_policy": _RETRY,
    "model_group_retry_policy": _RETRY,
    "max_retries": _RETRY,
    "max_fallbacks": _RETRY,
    "routing_strategy_args": Reason("strategies learn from what they see; there is nothing to tune"),
    "enable_pre_call_checks": _CHECKS,
    "optional_pre_call_checks": _CHECKS,
    "enable_tag_filtering": Reason("tags do not choose endpoints", "make a route for each tag"),
    "tag_filtering_match_any": Reason("tags do not choose endpoints", "make a route for each tag"),
    "tags": Reason("tags do not choose endpoints", "make a route for each tag"),
    "content_policy_fallbacks": Reason(
        "a refusal is not told from any other answer in this version", "the route's tiers serve failures"
    ),
    "routing_groups": Reason("a strategy belongs to a route", "give each route its `strategy`"),
    "polling_interval": Reason("endpoints are watched by what requests find"),
    "health_check_interval": Reason("endpoints are watched by what requests find; no requests are spent on it"),
    "background_health_checks": Reason("endpoints are watched by what requests find; no requests are spent on it"),
    "enable_health_check_routing": Reason("endpoints are watched by what requests find; no requests are spent on it"),
    "health_check_details": Reason("endpoints are watched by what requests find; no requests are spent on it"),
    "silent_model": Reason("shadow traffic is not sent in this version"),
    "max_parallel_requests": Reason("bounded for each endpoint", "`limits: {max_in_flight: N}` of the endpoints"),
    "global_max_parallel_requests": Reason("bounded for each endpoint", "`limits: {max_in_flight: N}` of the endpoints"),
    # requests
    "drop_params": _DROP,
    "modify_params": _DROP,
    "additional_drop_params": _DROP,
    "allowed_openai_params": _DROP,
    "temperature": _DEFAULTS,
    "max_tokens": _DEFAULTS,
    "max_completion_tokens": _DEFAULTS,
    "top_p": _DEFAULTS,
    "seed": _DEFAULTS,
    "stop": _DEFAULTS,
    "reasoning_effort": _DEFAULTS,
    "thinking": _DEFAULTS,
    "extra_body": _DEFAULTS,
    "presence_penalty": _DEFAULTS,
    "frequency_penalty": _DEFAULTS,
    "response_format": _DEFAULTS,
    "tools": _DEFAULTS,
    "stream": _DEFAULTS,
    "system_prompt": _DEFAULTS,
    "guardrails": _GUARD,
    "default_on": _GUARD,
    "prompts": Reason("prompt templates are not kept here"),
    "use_in_pass_through": Reason("only the client APIs in the README are served"),
    "pass_through_endpoints": Reason("only the client APIs in the README are served"),
    "mcp_servers": Reason("tool servers are not hosted here"),
    "search_tools": Reason("tool servers are not hosted here"),
    "vector_store_registry": Reason("vector stores are not hosted here"),
    "files_settings": Reason("files are not kept here"),
    # signing in
    "aws_access_key_id": _CREDENTIALS,
    "aws_secret_access_key": _CREDENTIALS,
    "aws_session_token": _CREDENTIALS,
    "aws_region_name": _CREDENTIALS,
    "aws_profile_name": _CREDENTIALS,
    "aws_role_name": _CREDENTIALS,
    "vertex_credentials": _CREDENTIALS,
    "azure_ad_token_provider": _CREDENTIALS,
    "tenant_id": _CREDENTIALS,
    "client_id": _CREDENTIALS,
    "client_secret": _CREDENTIALS,
    "azure_password": _CREDENTIALS,
    "azure_username": _CREDENTIALS,
    "enable_azure_ad_token_refresh": _CREDENTIALS,
    "ssl_verify": Reason("a matter of each provider", "`tls: {ca_file: ..., verify: ...}`"),
    # model_info
    "id": Reason("endpoints are named after their model and provider", "rename the endpoint, if you look for this id in logs"),
    "base_model": Reason("prices are looked up by the model's own name", "give the endpoint its `price`"),
    "access_groups": _KEYS,
    "description": Reason("a note for people", "write it as a comment"),
    "input_cost_per_second": Reason("only tokens and requests are priced"),
    "output_cost_per_second": Reason("only tokens and requests are priced"),
    # the rest of the file
    "include": Reason("other files are not read", "import each of them, or join them first"),
    "environment_variables": Reason("the file sets no environment variables", "set it where fastroute is started"),
    "litellm_license": Reason("no licence is needed"),
}
