"""The `fastroute` command. Everything heavy is imported inside the commands, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fastroute import __version__

if TYPE_CHECKING:
    from fastroute.config.schema import Config

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FASTROUTE"}
FILE = click.Path(path_type=Path)
DEFAULT_FILES = (Path("fastroute.yaml"), Path("fastroute.yml"), Path("fastroute.toml"))


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="fastroute")
def main() -> None:
    """Send each chat request to the cheapest endpoint expected to meet its objectives."""


@main.command()
@click.option(
    "--config",
    "-c",
    type=FILE,
    envvar="FASTROUTE_CONFIG",
    help="Configuration; without one, ./fastroute.yaml, else provider keys.",
)
@click.option("--host", help="Address of the data port (127.0.0.1).")
@click.option("--port", type=int, help="Data port (4000).")
@click.option("--admin-port", type=int, help="Admin port (4001), on loopback.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes on the data port.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
@click.option("--mock", type=FILE, help="Run these mock providers inside the same process (for trying things out).")
def serve(config: Path | None, log_level: str, mock: Path | None, workers: int, **listen: Any) -> None:
    """Run the sidecar until SIGTERM."""
    if workers > 1 and mock is not None:
        _fail("--mock runs inside one process: not with --workers")
    loaded, source = _find_config(config, listen["port"])
    loaded = _listening(loaded, {name: value for name, value in listen.items() if value is not None})
    if workers > 1:
        sys.exit(_supervise(loaded, source, workers, log_level))
    import uvloop

    from fastroute.telemetry.log import configure

    sys.exit(uvloop.run(_serve(loaded, source, configure(log_level), mock)))


def _supervise(config: "Config", source: str, workers: int, log_level: str) -> int:
    from fastroute import app
    from fastroute.workers.run import run

    for warning in app.catalog_of(config).warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    told = f"{source}, {workers} workers"
    try:
        return run(config, workers, log_level, lambda port, admin_port: _announce(config, told, port, admin_port))
    except OSError as error:
        _fail(f"cannot start: {error}")


async def _serve(config: "Config", source: str, lines: Any, mock: Path | None) -> int:
    from contextlib import AsyncExitStack

    from fastroute import app

    async with AsyncExitStack() as stack:
        if mock is not None:
            await stack.enter_async_context(_mocks(mock))
        sidecar = app.App(config, lines)
        for warning in sidecar.catalog.warnings:
            click.secho(f"warning: {warning}", fg="yellow", err=True)
        try:
            return await app.serve(sidecar, lambda port, admin_port: _announce(config, source, port, admin_port))
        except (OSError, ValueError) as error:
            _fail(f"cannot start: {error}")


def _announce(config: "Config", source: str, port: int, admin_port: int) -> None:
    host = f"[{config.listen.host}]" if ":" in config.listen.host else config.listen.host
    model = next(iter(config.routes), None) or next(iter(config.endpoints), "auto")
    url = f"http://{host}:{port}"
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    click.echo(
        f"fastroute {__version__}: {source}\n"
        f"  base URL   {url}/v1   (OPENAI_BASE_URL)\n"
        f"  dashboard  http://{config.listen.admin_host}:{admin_port}/\n"
        f"  try        curl {url}/v1/chat/completions -H 'content-type: application/json' -i -d '{body}'"
    )


def _mocks(path: Path) -> Any:
    from fastroute.mock.provider import MockProviders
    from fastroute.mock.schema import MockConfigError, load_mock_config

    try:
        return MockProviders(load_mock_config(path))
    except (MockConfigError, OSError) as error:
        _fail(str(error))


@main.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Validate a configuration: every mistake at once; exit 2 when there is one."""
    from fastroute.app import catalog_of

    config = _load(file)
    for warning in catalog_of(config).warnings:
        click.secho(f"{file}: warning: {warning}", fg="yellow", err=True)
    click.echo(f"{file}: ok ({len(config.providers)} providers, {len(config.endpoints)} endpoints, {len(config.routes)} routes)")


@main.command()
@click.option("--config", "-c", type=FILE, envvar="FASTROUTE_CONFIG", help="As for serve.")
@click.option("--stats", type=FILE, help="Statistics that a sidecar has written (`statistics.file`); none: before any request.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.argument("request", type=FILE)
def explain(config: Path | None, stats: Path | None, as_json: bool, request: Path) -> None:
    """Dry run: who would serve REQUEST (a chat completion body in JSON), and why not the others. Sends nothing."""
    from fastroute import dry_run

    loaded, _ = _find_config(config, None)
    try:
        report = dry_run.explain(loaded, request.read_bytes(), stats)
    except dry_run.BadStatistics as error:
        _fail(str(error))
    except (OSError, dry_run.BadRequest) as error:
        _fail(f"{request}: {error}")
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        dry_run.show(report)


@main.command()
@click.option("--config", "-c", type=FILE, required=True, help="Endpoints, latencies, faults, prices.")
def mock(config: Path) -> None:
    """Run mock providers: real HTTP servers with scripted faults and a bill."""
    from fastroute.mock import provider
    from fastroute.mock.schema import MockConfigError, load_mock_config

    try:
        provider.run(load_mock_config(config))
    except (MockConfigError, OSError) as error:
        _fail(str(error))


@main.command()
@click.option("--seconds", type=click.FloatRange(5, 600), default=30.0, show_default=True, help="How long the load lasts.")
@click.option("--rate", type=click.FloatRange(1, 200), default=12.0, show_default=True, help="Requests per second.")
@click.option(
    "--ledger", type=FILE, default=Path("build/demo-ledger.ndjson"), show_default=True, help="Where every request is written."
)
def demo(seconds: float, rate: float, ledger: Path) -> None:
    """A mixed load over mock providers, with a brownout and an outage in the middle; prints what clients saw and paid."""
    import uvloop

    from fastroute import demo as show

    sys.exit(uvloop.run(show.run(seconds, rate, ledger)))


@main.command()
@click.option("--trace", required=True, help="CSV (TIMESTAMP, ContextTokens, GeneratedTokens), JSONL, or the model `poisson`.")
@click.option("--config", "-c", "configs", type=FILE, required=True, multiple=True, help="A configuration; repeat to compare.")
@click.option("--route", help="Route to simulate (each configuration's first).")
@click.option("--world", help="How the endpoints behave and what goes wrong: a file, or a shipped one such as six-phases.")
@click.option(
    "--requests",
    type=click.IntRange(1, 10_000_000),
    default=10_000,
    show_default=True,
    help="For each configuration, over all seeds.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Mean requests a second (the trace's own).")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Runs of each configuration.")
@click.option("--stream/--whole", default=True, show_default=True, help="How replies come.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes, as for serve.")
@click.option("--oracle/--no-oracle", default=True, show_default=True, help="Play the all-knowing router too, to compare costs.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--html", "page", type=FILE, help="Write a page with charts.")
def simulate(trace: str, configs: tuple[Path, ...], as_json: bool, page: Path | None, **asked: Any) -> None:
    """Play requests through the real router on virtual time: attainment, cost, reactions to faults, per configuration."""
    from fastroute.sim import command

    try:
        found = command.simulate(command.Asked(trace, configs, rate_per_s=asked.pop("rate"), **asked))
    except command.Wrong as error:
        _fail(str(error))
    if page is not None:
        from fastroute.sim.page import html

        page.write_text(html(found), encoding="utf-8")
    if as_json:
        import orjson

        click.echo(orjson.dumps(found.to_dict(), option=orjson.OPT_INDENT_2))
    else:
        from fastroute.sim.table import text

        click.echo(text(found))


@main.group("import")
def import_() -> None:
    """Rewrite another router's configuration as ours."""


@import_.command("litellm")
@click.option("--output", "-o", type=FILE, help="Where to write the configuration (standard output).")
@click.argument("file", type=FILE)
def import_litellm(file: Path, output: Path | None) -> None:
    """Rewrite LiteLLM's proxy FILE; tells every key that was not mapped, and checks the result."""
    from fastroute.importing import command

    sys.exit(command.run(file, output))


@main.command()
@click.option("--markdown", is_flag=True, help="The reference page instead.")
def schema(markdown: bool) -> None:
    """Print the JSON Schema of the configuration."""
    from fastroute.config import describe

    sys.exit(describe.main(["--markdown"] if markdown else []))


@main.command()
@click.option("--url", default="http://127.0.0.1:4000", show_default=True, help="Where the sidecar's data port is.")
def healthcheck(url: str) -> None:
    """Exit 0 when the sidecar is ready, 1 when not."""
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        _fail(f"--url {url}: not an HTTP address")
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=3) as reply:  # noqa: S310 # scheme checked above
            click.echo(reply.read().decode())
    except (urllib.error.URLError, OSError) as error:
        _fail(f"not ready: {error}", code=1)


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure what the router costs beside a direct call and other proxies (`bench --help` lists the options)."""
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:  # in a checkout, `bench` lies beside `fastroute`
        sys.path.append(root)
    try:
        from bench.commands import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "bench":
            raise
        _fail("the bench package is not installed: run this in a checkout of fastroute, or use `make bench` there")
    run(arguments, "fastroute bench")


def _find_config(path: Path | None, port: int | None) -> tuple["Config", str]:
    """The configuration and where it came from: the named file, a file in this folder, else the environment's keys."""
    found = path or next((file for file in DEFAULT_FILES if file.exists()), None)
    if found is not None:
        return _load(found), f"configuration {found}"
    import os

    from fastroute.config.load import ConfigError
    from fastroute.config.presets import presets
    from fastroute.config.zero import config_from_env

    try:
        config = config_from_env(os.environ, port or 4000)
    except ConfigError as error:
        _fail(str(error))
    if config is None:
        names = ", ".join(sorted({p.key_env for p in presets().values() if p.key_env and p.models}))
        _fail(f"no --config, no ./fastroute.yaml, and no provider key in the environment ({names})")
    return config, f"endpoints from the environment: {', '.join(config.providers)}"


def _load(path: Path) -> "Config":
    from fastroute.config.load import ConfigError, load_config

    try:
        return load_config(path)
    except ConfigError as error:
        _fail(str(error))


def _listening(config: "Config", changes: dict[str, Any]) -> "Config":
    import msgspec

    return msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **changes)) if changes else config


def _fail(message: str, code: int = 2) -> NoReturn:
    click.secho(message, fg="red", err=True)
    sys.exit(code)
