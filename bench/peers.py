"""Other routers as contenders, where they are installed. A command is taken from the variable `BENCH_<NAME>`, else from PATH.

Nothing is downloaded: what is not found is left out, with the reason printed. Each runs with as many workers as asked where it
can be told, with request logging off where that is its default.
"""

import os
import shlex
import shutil
from pathlib import Path

from bench import contenders
from bench.contenders import Contender, Launch, Missing, Site

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: up, timeout: 0s}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: up
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]}}
    load_assignment:
      cluster_name: up
      endpoints:
      - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]
"""

LITELLM = """
model_list:
  - model_name: auto
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{upstream}/v1", api_key: bench}}
litellm_settings: {{telemetry: false, set_verbose: false}}
"""


def _found(name: str, *commands: str) -> list[str] | None:
    """The command line that the variable gives, else the first of `commands` that is on PATH."""
    if given := os.environ.get(f"BENCH_{name.upper()}"):
        return shlex.split(given)
    return next(([path] for command in commands if (path := shutil.which(command))), None)


def _missing(name: str, command: str) -> Missing:
    return Missing(f"no `{command}` on PATH, and BENCH_{name.upper()} is not set")


def _written(directory: Path, name: str, text: str) -> str:
    (directory / name).write_text(text)
    return str(directory / name)


def envoy(site: Site) -> Launch | Missing:
    """Envoy as a plain HTTP/1.1 proxy."""
    command = _found("envoy", "envoy")
    if command is None:
        return _missing("envoy", "envoy")
    config = _written(site.directory, "envoy.yaml", ENVOY.format(port=site.port, upstream=site.upstream))
    return Launch([*command, "-c", config, "--concurrency", str(site.workers), "--log-level", "error", "--use-dynamic-base-id"])


def litellm(site: Site) -> Launch | Missing:
    """The LiteLLM proxy with one model."""
    command = _found("litellm", "litellm")
    if command is None:
        return _missing("litellm", "litellm")
    config = _written(site.directory, "litellm.yaml", LITELLM.format(upstream=site.upstream))
    options = ["--config", config, "--host", "127.0.0.1", "--port", str(site.port), "--num_workers", str(site.workers)]
    return Launch(command + options, env=(("LITELLM_LOG", "ERROR"),), ready_s=90.0)


def sglang_router(site: Site) -> Launch | Missing:
    """sglang-router, round robin over the one upstream."""
    command = _found("sglang_router", "sglang-router", "smg")
    if command is None:
        return _missing("sglang_router", "sglang-router")
    worker = f"http://127.0.0.1:{site.upstream}"
    options = ["launch", "--host", "127.0.0.1", "--port", str(site.port), "--worker-urls", worker, "--policy", "round_robin"]
    return Launch(command + options, ready_s=60.0)


def portkey(site: Site) -> Launch | Missing:
    """Portkey's gateway, told by headers where to go."""
    command = _found("portkey", "portkey-gateway")
    if command is None:
        return _missing("portkey", "portkey-gateway")
    upstream = ("x-portkey-custom-host", f"http://127.0.0.1:{site.upstream}/v1")
    headers = (("x-portkey-provider", "openai"), upstream)
    env = (("PORT", str(site.port)), ("TRUSTED_CUSTOM_HOSTS", "127.0.0.1"))
    return Launch([*command, f"--port={site.port}", "--headless"], headers=headers, env=env, ready_s=30.0)


CONTENDERS: dict[str, Contender] = {
    "nginx": contenders.nginx,
    "reverse_proxy": contenders.reverse_proxy,
    "fastroute": contenders.fastroute,
    "envoy": envoy,
    "litellm": litellm,
    "sglang_router": sglang_router,
    "portkey": portkey,
}
NAMES = frozenset(CONTENDERS)
