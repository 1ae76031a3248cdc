"""`${VAR}` and `${VAR:-default}` in the string values of a configuration.

Rules. Values only, never keys; one pass, so what a variable contains is not looked at again; `$${` is a literal `${`.
`:-default` stands in where the variable is unset or empty, as in a shell. A missing variable is a problem at its place
that names the variable; no message ever shows a value.
"""

import re
from collections.abc import Mapping

from fastroute.config.nodes import Node, every_node
from fastroute.config.problems import Problems, shown

_PIECE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def interpolate(root: Node, env: Mapping[str, str], problems: Problems) -> None:
    """Fills in the variables of every string below `root`, in place."""
    for node in every_node(root):
        if isinstance(node.value, str) and "${" in node.value:
            _fill(node, env, problems)


def _fill(node: Node, env: Mapping[str, str], problems: Problems) -> None:
    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = _INSIDE.fullmatch(match[1] or "")
        if inside is None:
            problems.add(node.spot, "malformed ${...}: write ${NAME} or ${NAME:-default}, or $${ for a plain ${")
            return ""
        node.from_env = True
        return _value(node, inside[1], inside[2], env, problems)

    node.value = _PIECE.sub(replacement, node.value)


def _value(node: Node, name: str, default: str | None, env: Mapping[str, str], problems: Problems) -> str:
    value = env.get(name)
    if default is not None:
        return value or default
    if value is None:
        problems.add(
            node.spot, f"environment variable {shown(name)} is not set (give a default with ${{{name}:-...}}, which may be empty)"
        )
    return value or ""
