"""The worlds that pitfalls are tried in lie with the unit and the server tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / folder) for folder in ("unit", "server", "sim") if str(TESTS / folder) not in sys.path]
