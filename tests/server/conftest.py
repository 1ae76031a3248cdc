"""The data port's suite runs twice: with the fast lane, and with aiohttp serving everything."""

import data_support
import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2].startswith("test_data_"):
        metafunc.parametrize("lane", ["fast", "aiohttp"], indirect=True)


@pytest.fixture(autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which way chat requests take through the data port: `fast` or `aiohttp`."""
    chosen = getattr(request, "param", "fast")
    monkeypatch.setattr(data_support, "FAST_LANE", chosen == "fast")
    return chosen
