import socket

import pytest
from click.testing import CliRunner

from fastroute.cli import main
from fastroute.workers.run import reserve


def listening(port, shared):
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", port))
    held.listen(128)
    return held


@pytest.fixture
def reserved():
    held, port = reserve("127.0.0.1", 0)
    yield port
    for bound in held:
        bound.close()


def test_a_reserved_port_can_be_shared_by_all_workers(reserved):
    with listening(reserved, shared=True) as first, listening(reserved, shared=True) as second:
        first.setblocking(False)
        second.setblocking(False)
        clients = [socket.create_connection(("127.0.0.1", reserved)) for _ in range(60)]
        counts = [accepted(first), accepted(second)]
        assert sum(counts) == 60
        assert min(counts) > 0
        for client in clients:
            client.close()


def accepted(listener):
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_nobody_is_connected_to_a_port_that_is_only_reserved(reserved):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reserved), timeout=2)


def test_a_port_that_another_program_has_is_refused_by_name():
    with listening(0, shared=False) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: "):
            reserve("127.0.0.1", port)


def test_a_port_that_another_crew_has_is_refused_although_it_could_be_shared():
    held, port = reserve("127.0.0.1", 0)
    with listening(port, shared=True):
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", port)
    for bound in held:
        bound.close()


def test_a_name_with_several_addresses_gets_one_port_on_each():
    held, port = reserve("localhost", 0)
    assert {bound.getsockname()[1] for bound in held} == {port}
    families = {info[0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert {bound.family for bound in held} == families
    for bound in held:
        bound.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--workers", "2", "--mock", "mock.yaml"], "--mock runs inside one process"), (["--workers", "0"], "--workers")],
)
def test_what_does_not_go_together_is_refused(options, said):
    done = CliRunner().invoke(main, ["serve", *options])
    assert done.exit_code == 2
    assert said in done.output
