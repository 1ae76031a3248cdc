"""The processes that are measured: fastroute, a plain aiohttp reverse proxy, nginx where it is installed, and `bench.peers`.

Each is a function from a Site to a Launch, or to a Missing that says why it is left out. Nothing is downloaded.
"""

import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.request import PATH

NGINX = """
daemon off; worker_processes {workers}; worker_rlimit_nofile 40000; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 16000; }}
http {{
  access_log {dir}/access.log combined buffer=64k flush=1s;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=8192 reuseport;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering off; }}
  }}
}}
"""

FASTROUTE = """
version: 1
listen: {{host: 127.0.0.1, port: {port}, admin_port: {admin}}}
providers:
  bench: {{preset: openai-compatible, base_url: "http://127.0.0.1:{upstream}/v1", api_key: bench}}
endpoints:
  cheap: {{provider: bench, model: m, price: {{input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6}}}}
  dear: {{provider: bench, model: m2, price: {{input_usd_per_mtok: 3, output_usd_per_mtok: 15}}}}
  premium: {{provider: bench, model: m3, price: {{input_usd_per_mtok: 10, output_usd_per_mtok: 30}}}}
routes:
  auto: {{objective: {{ttft_ms: 2000, total_ms: 8000}}, deadline_ms: 60000, tiers: [[cheap, dear], [premium]]}}
"""


class Site(NamedTuple):
    """Where a contender is to run: its own folder and port, the upstream's port, and how many workers."""

    directory: Path
    port: int
    upstream: int
    workers: int = 1


class Launch(NamedTuple):
    """How to start a contender, and how to ask it."""

    command: list[str]
    path: str = PATH
    headers: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    ready_s: float = 15.0


class Missing(NamedTuple):
    """Why a contender is left out."""

    why: str


Contender = Callable[[Site], Launch | Missing]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def fastroute(site: Site) -> Launch | Missing:
    """The router itself, with everything on."""
    config = site.directory / "bench.yaml"
    config.write_text(FASTROUTE.format(port=site.port, admin=free_port(), upstream=site.upstream))
    command = [sys.executable, "-m", "fastroute", "serve", "--config", str(config)]
    return Launch(command + (["--workers", str(site.workers)] if site.workers > 1 else []))


def reverse_proxy(site: Site) -> Launch | Missing:
    """aiohttp server and client, and nothing else."""
    if site.workers > 1:
        return Missing("the aiohttp reverse proxy has one worker")
    return Launch([sys.executable, "-m", "bench.reverse_proxy", str(site.port), f"http://127.0.0.1:{site.upstream}"])


def nginx(site: Site) -> Launch | Missing:
    """The practical limit: `proxy_pass` with an access log."""
    path = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
    if path is None:
        return Missing("nginx is not installed")
    config = site.directory / "nginx.conf"
    config.write_text(NGINX.format(dir=site.directory, port=site.port, upstream=site.upstream, workers=site.workers))
    return Launch([path, "-p", str(site.directory), "-c", str(config)])
