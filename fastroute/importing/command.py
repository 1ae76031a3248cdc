"""`fastroute import litellm`: reads, writes, and tells what to know.

The configuration goes to standard output or a file, the report to standard error.
"""

import os
from pathlib import Path

import click

from fastroute.config.nodes import MAX_BYTES
from fastroute.config.problems import ConfigError
from fastroute.importing.litellm import Imported, import_litellm
from fastroute.importing.remarks import Kind

_HEADINGS = {
    Kind.UNMAPPED: "not mapped",
    Kind.APPROXIMATE: "approximated",
    Kind.SECRET: "literal secrets, carried over as written",
}


def run(file: Path, output: Path | None) -> int:
    """The exit code: 0 written and checked, 1 written but the check found problems, 2 unreadable or nothing to import."""
    try:
        with open(file, "rb") as source:
            found = import_litellm(source.read(MAX_BYTES + 1), str(file), os.environ)
        if output is not None:
            if output.suffix == ".toml":
                return _failed(f"{output}: the result is YAML; choose another suffix")
            output.write_text(found.yaml, encoding="utf-8")
            if found.of_kind(Kind.SECRET):
                output.chmod(0o600)
    except ConfigError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or file}:1:1: cannot be read or written: {error.strerror}")
    if output is None:
        click.echo(found.yaml, nl=False)
    click.echo(report(found, str(file), str(output or "the result")), err=True)
    return 1 if found.problems else 0


def report(found: Imported, source: str, result: str) -> str:
    """What was not mapped, what only roughly, and what the check said."""
    lines = []
    for kind, heading in _HEADINGS.items():
        remarks = found.of_kind(kind)
        lines += [f"{heading}: {len(remarks)}", *(f"  {source}:{remark}" for remark in remarks)]
    if found.unset:
        lines.append(f"environment variables to set (checked with stand-ins): {', '.join(found.unset)}")
    if found.config is None:
        return "\n".join([*lines, f"check: {len(found.problems)} problems", *found.problems])
    sizes = f"{len(found.config.providers)} providers, {len(found.config.endpoints)} endpoints, {len(found.config.routes)} routes"
    return "\n".join([*lines, f"check: {result} is ok ({sizes})"])


def _failed(message: str) -> int:
    click.secho(message, fg="red", err=True)
    return 2
