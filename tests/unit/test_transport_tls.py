import ssl
from pathlib import Path

import pytest

from fastroute.transport import tls
from fastroute.transport.tls import ResumingContext


def test_it_verifies_as_the_default_does() -> None:
    ours, default = ResumingContext.verifying(), ssl.create_default_context()
    assert (ours.verify_mode, ours.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert ours.minimum_version >= default.minimum_version
    assert ours.options & default.options == default.options
    assert ours.cert_store_stats() == default.cert_store_stats()


def test_contexts_do_not_share_sessions() -> None:
    assert ResumingContext.verifying().sessions is not ResumingContext.verifying().sessions


@pytest.mark.parametrize("text", ["", "not a certificate"])
def test_a_file_without_certificates(tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(ssl.SSLError):
        ResumingContext.verifying(str(tmp_path / "ca.pem"))
    with pytest.raises(OSError):
        ResumingContext.verifying(str(tmp_path / "none.pem"))


class FakeTransport:
    def __init__(self, session: object) -> None:
        self.session = session

    def get_extra_info(self, name: str) -> object:
        return self if name == "ssl_object" else None


def test_a_connection_without_a_session_is_no_loss() -> None:
    context = ResumingContext.verifying()
    context.remember("h", FakeTransport(None))  # type: ignore[arg-type]
    assert context.sessions == {}
    assert context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=False, server_hostname="h").session is None


def test_the_hosts_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "MAX_SESSIONS", 2)
    context = ResumingContext.verifying()
    for name, session in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        context.remember(name, FakeTransport(session))  # type: ignore[arg-type]
    assert context.sessions == {"a": 4, "b": 2}
