"""From a file to a `Config`, or to every reason why not.

Theory of operation. Text -> located values (`yaml_strict`, `toml_located`) -> variables filled in (`interpolate`) -> types
(`check`) and references (`references`), both over the same tree and into the same list of problems -> `msgspec.convert`, which
by then only builds the objects. Only a file that cannot be read at all stops early.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import inspect

from fastroute.config.check import Checker
from fastroute.config.interpolate import interpolate
from fastroute.config.nodes import MAX_BYTES, Node, too_big
from fastroute.config.problems import START, ConfigError, Problem, Problems, Spot
from fastroute.config.references import check_references
from fastroute.config.schema import Config
from fastroute.config.toml_located import parse_toml
from fastroute.config.yaml_strict import parse_yaml

__all__ = ["ConfigError", "Problem", "load_config", "parse_config"]


def load_config(path: str | Path, env: Mapping[str, str] | None = None) -> Config:
    """Reads and checks a file: TOML by its suffix, else YAML. `env` None: this process's environment.

    Raises `ConfigError` with every problem found.
    """
    problems = Problems(str(path))
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
            size_bytes = len(data) if len(data) <= MAX_BYTES else max(len(data), os.fstat(file.fileno()).st_size)
    except OSError as error:
        problems.add(START, f"cannot be read: {error.strerror or type(error).__name__}")
        raise ConfigError(problems.sorted()) from None
    if too_big(size_bytes, problems):
        raise ConfigError(problems.sorted())
    return parse_config(_decoded(data, problems), str(path), env)


def parse_config(text: str, filename: str = "fastroute.yaml", env: Mapping[str, str] | None = None) -> Config:
    """Checks a text; `filename` names it in messages, and its suffix tells TOML from YAML. `env` None: this process's.

    Raises `ConfigError` with every problem found.
    """
    problems = Problems(filename)
    root = _parsed(text.removeprefix("\ufeff"), filename, problems)
    if root is None:
        raise ConfigError(problems.sorted())
    _drop_extensions(root)
    interpolate(root, os.environ if env is None else env, problems)
    plain = Checker(problems).check(root, inspect.type_info(Config), "")
    check_references(root, problems)
    problems.raise_if_any()
    try:
        return msgspec.convert(plain, Config)
    except msgspec.ValidationError as error:
        problems.add(START, str(error))
        raise ConfigError(problems.sorted()) from None


def _decoded(data: bytes, problems: Problems) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line = before.count("\n") + 1
        problems.add(Spot(line, len(before) - before.rfind("\n")), "not UTF-8 text")
        raise ConfigError(problems.sorted()) from None


def _parsed(text: str, filename: str, problems: Problems) -> Node | None:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        problems.add(START, "not UTF-8 text")
        return None
    if too_big(size_bytes, problems):
        return None
    if not text.strip():
        problems.add(START, "the file is empty")
        return None
    return parse_toml(text, problems) if filename.endswith(".toml") else parse_yaml(text, problems)


def _drop_extensions(root: Node) -> None:
    """Top-level keys that begin with `x-` are the user's own: a place for YAML anchors."""
    if isinstance(root.value, dict):
        for key in [key for key in root.value if key.startswith("x-")]:
            del root.value[key]
