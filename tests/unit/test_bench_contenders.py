"""How contenders are started: configurations are written, what is not installed is left out with a reason."""

import sys
from pathlib import Path

import pytest
import yaml

from bench import contenders, peers
from bench.contenders import Launch, Missing, Site
from bench.peers import CONTENDERS


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, 4444, 5555, 2)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing on PATH, no variables."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in CONTENDERS:
        monkeypatch.delenv(f"BENCH_{name.upper()}", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def install(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def started(found: Launch | Missing) -> Launch:
    assert isinstance(found, Launch)
    return found


PEERS = [
    ("envoy", "envoy", "no `envoy` on PATH"),
    ("litellm", "litellm", "no `litellm` on PATH"),
    ("sglang_router", "sglang-router", "no `sglang-router` on PATH"),
    ("portkey", "portkey-gateway", "no `portkey-gateway` on PATH"),
]


@pytest.mark.parametrize(("name", "command", "why"), PEERS)
def test_what_is_not_installed_is_left_out_with_a_reason(bare: Path, site: Site, name: str, command: str, why: str) -> None:
    found = CONTENDERS[name](site)
    assert isinstance(found, Missing)
    assert found.why.startswith(why)
    assert f"BENCH_{name.upper()}" in found.why


@pytest.mark.parametrize(("name", "command", "why"), PEERS)
def test_what_is_on_path_is_used(bare: Path, site: Site, name: str, command: str, why: str) -> None:
    path = install(bare, command)
    found = started(CONTENDERS[name](site))
    assert found.command[0] == path
    written = "".join(p.read_text() for p in site.directory.glob("*.yaml"))
    assert "4444" in " ".join(found.command) + written
    assert "5555" in " ".join(found.command) + written + str(found.headers)


@pytest.mark.parametrize("name", [name for name, _, _ in PEERS])
def test_a_variable_gives_a_whole_command_line(bare: Path, site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"BENCH_{name.upper()}", "node '/opt/a b/start.js'")
    assert started(CONTENDERS[name](site)).command[:2] == ["node", "/opt/a b/start.js"]


def test_configurations_are_valid_yaml(bare: Path, site: Site) -> None:
    for name in ("envoy", "litellm"):
        install(bare, name)
        CONTENDERS[name](site)
        assert yaml.safe_load((site.directory / f"{name}.yaml").read_text())
    envoy = yaml.safe_load((site.directory / "envoy.yaml").read_text())["static_resources"]
    [cluster] = envoy["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 5555


def test_fastroutes_configuration_is_one_that_fastroute_accepts(site: Site) -> None:
    from fastroute.config.load import load_config

    found = started(contenders.fastroute(site))
    config = load_config(site.directory / "bench.yaml")
    assert config.listen.port == 4444
    assert "auto" in config.routes
    assert found.command[:3] == [sys.executable, "-m", "fastroute"]
    assert found.command[-2:] == ["--workers", "2"]
    assert "--workers" not in started(contenders.fastroute(site._replace(workers=1))).command


def test_nginx(bare: Path, site: Site) -> None:
    path = install(bare, "nginx")
    found = started(contenders.nginx(site))
    assert found.command[0] == path
    text = (site.directory / "nginx.conf").read_text()
    assert "worker_processes 2;" in text
    assert "listen 127.0.0.1:4444" in text
    assert "server 127.0.0.1:5555" in text


def test_the_aiohttp_proxy_has_one_worker(site: Site) -> None:
    assert isinstance(contenders.reverse_proxy(site), Missing)
    assert started(contenders.reverse_proxy(site._replace(workers=1))).command[1:3] == ["-m", "bench.reverse_proxy"]


def test_portkey_is_told_where_to_go(bare: Path, site: Site) -> None:
    install(bare, "portkey-gateway")
    found = started(peers.portkey(site))
    assert dict(found.headers)["x-portkey-custom-host"] == "http://127.0.0.1:5555/v1"


def test_free_ports_are_free_and_differ() -> None:
    assert len({contenders.free_port() for _ in range(20)}) > 1
