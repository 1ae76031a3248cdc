"""A small configuration that is right, and ways to see what is wrong with others."""

from collections.abc import Mapping

from fastroute.config.load import ConfigError, parse_config
from fastroute.config.problems import Problem
from fastroute.config.schema import Config

SMALL = """\
providers:
  openai: {api_key: sk-test-1234567890}
endpoints:
  mini: {provider: openai, model: gpt-mini}
routes:
  auto: {tiers: [[mini]]}
"""


def parsed(text: str, env: Mapping[str, str] | None = None, filename: str = "f.yaml") -> Config:
    return parse_config(text, filename, env or {})


def problems_of(text: str, env: Mapping[str, str] | None = None, filename: str = "f.yaml") -> tuple[Problem, ...]:
    """Everything wrong with `text`; nothing where it is right."""
    try:
        parsed(text, env, filename)
    except ConfigError as error:
        return error.problems
    return ()


def lines_of(text: str, env: Mapping[str, str] | None = None, filename: str = "f.yaml") -> list[str]:
    return [str(problem) for problem in problems_of(text, env, filename)]


def only_line(text: str, env: Mapping[str, str] | None = None, filename: str = "f.yaml") -> str:
    lines = lines_of(text, env, filename)
    assert len(lines) == 1, lines
    return lines[0]
