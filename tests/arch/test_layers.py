"""Who may import whom: the contracts in pyproject.toml hold."""

import pytest
from importlinter.cli import lint_imports


def test_the_import_contracts_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.chdir(pytestconfig.rootpath)
    status = lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True)
    report = capsys.readouterr()
    assert status == 0, report.out + report.err
