"""Who may import whom: the contracts in pyproject.toml hold."""

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: the linter configures logging for the whole process it runs in.
LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"


def test_the_import_contracts_hold(pytestconfig: pytest.Config) -> None:
    root = Path(pytestconfig.rootpath)
    done = subprocess.run([sys.executable, "-c", LINT], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
