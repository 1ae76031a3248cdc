"""The processes that are measured: fastroute, a plain aiohttp reverse proxy, and nginx where it is installed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {dir}/access.log combined buffer=64k flush=1s;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
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
  auto: {{objective: {{ttft_ms: 2000, total_ms: 8000}}, tiers: [[cheap, dear], [premium]]}}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")


@contextmanager
def process(command: list[str], port: int, core: int, log: Path) -> Iterator[int]:
    """A child process listening on `port`, pinned to one core. Gives its pid; ends it on the way out."""
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    os.sched_setaffinity(child.pid, {core})
    try:
        _wait(port, child)
        yield child.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def fastroute(directory: Path, port: int, upstream: int) -> list[str]:
    config = directory / "bench.yaml"
    config.write_text(FASTROUTE.format(port=port, admin=free_port(), upstream=upstream))
    return [sys.executable, "-m", "fastroute", "serve", "--config", str(config)]


def reverse_proxy(directory: Path, port: int, upstream: int) -> list[str]:
    return [sys.executable, "-m", "bench.reverse_proxy", str(port), f"http://127.0.0.1:{upstream}"]


def nginx(directory: Path, port: int, upstream: int) -> list[str] | None:
    """None where nginx is not installed."""
    path = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
    if path is None:
        return None
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(dir=directory, port=port, upstream=upstream))
    return [path, "-p", str(directory), "-c", str(config)]


def cpu_s(pid: int) -> float:
    """CPU seconds so far of a process and its children, to the nanosecond."""
    total = sum(int(f.read_text().split()[0]) for f in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return total / 1e9 + sum(cpu_s(int(child)) for child in children)


def rss_mib(pid: int) -> float:
    """Resident memory of a process alone, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
