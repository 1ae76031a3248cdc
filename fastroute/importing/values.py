"""LiteLLM's scalars as ours: environment references, numbers, and what our own checks say about a value."""

import re
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from msgspec import inspect

from fastroute.config.check import Checker, bare
from fastroute.config.nodes import Node
from fastroute.config.problems import Problems
from fastroute.importing.remarks import ENV_PREFIX, At, Remarks

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKENS_PER_MTOK = 1_000_000
_NUMBER_DIGITS = 40


def text_of(at: At | None, remarks: Remarks) -> str | None:
    """A text as our file would hold it: `os.environ/X` is `${X}`, any other `${` is escaped. None, with a remark, else."""
    if at is None:
        return None
    if not isinstance(at.value, str):
        remarks.unmapped(at, "text was expected", "write it in quotes")
        return None
    if not at.value.startswith(ENV_PREFIX):
        return at.value.replace("${", "$${") or None
    name = at.value.removeprefix(ENV_PREFIX)
    if not _VARIABLE.fullmatch(name):
        remarks.unmapped(at, "not the name of an environment variable")
        return None
    return f"${{{name}}}"


def is_literal(text: str) -> bool:
    """Whether a value is written out rather than taken from the environment."""
    return re.fullmatch(r"\$\{[^{}]*\}", text) is None


def number_of(at: At | None, remarks: Remarks) -> Decimal | None:
    """A finite number that is not negative, exactly as it was written. None, with a remark, for anything else."""
    if at is None:
        return None
    found = _decimal(at.value)
    if found is None:
        remarks.unmapped(at, "a number that is not negative was expected", "write the number itself")
    return found


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > _NUMBER_DIGITS:
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 and abs(found.adjusted()) < _NUMBER_DIGITS else None


def plain(number: Decimal) -> int | Decimal:
    """The number without trailing zeros; a whole one as an integer."""
    return int(number) if number == number.to_integral_value() else number.normalize()


def usd_per_mtok(usd_per_token: Decimal) -> int | Decimal:
    """A price per token as the price per million tokens, exactly."""
    return plain(usd_per_token * _TOKENS_PER_MTOK)


def milliseconds(seconds: Decimal) -> int:
    """Seconds as whole milliseconds, rounded to the nearest."""
    return int((seconds * 1000).to_integral_value())


def complaint(section: type, key: str, value: Any) -> str | None:
    """Why our configuration would not take `value` at `key` of a section; None where it would."""
    problems = Problems("")
    Checker(problems).check(_node(value), _field_type(section, key), key)
    found = problems.sorted()
    return found[0].message.removeprefix(f"{key}: ") if found else None


@cache
def _field_type(section: type, key: str) -> Any:
    fields: Any = bare(inspect.type_info(section)).fields
    return next(field.type for field in fields if field.encode_name == key)


def _node(value: Any) -> Node:
    if isinstance(value, dict):
        return Node({key: _node(child) for key, child in value.items()})
    return Node(float(value) if isinstance(value, Decimal) else value)
