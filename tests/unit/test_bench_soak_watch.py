"""What a soak run reads of a process: the kernel's tables, and the admin port."""

import os
import socket

import pytest

from bench.processes import rss_bytes
from bench.soak_watch import ALL_TYPES, TRACKED, Watch, processes, sockets
from fastroute.server.admin import MAX_LAST, AdminCalls, AdminPort

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:0FA0 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:0FA0 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C351 0100007F:0FAA 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
   4: 0100007F:0FAA 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0 20 4 30 10 -1
   5: 0100007F:C352 0100007F:0FAB 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
"""


def test_sockets_are_told_by_their_ports_and_counted_once() -> None:
    """4000 is the data port, 4010 and 4011 are providers; one connection each, and one that is only waiting to be forgotten."""
    assert sockets(TABLE, 4000, {4010, 4011}) == (1, 1)
    assert sockets(TABLE, 4001, {4012}) == (0, 0)


def test_a_process_is_read_from_proc() -> None:
    before = processes(os.getpid())
    with socket.socket():
        after = processes(os.getpid())
    assert after.fds == before.fds + 1
    assert after.threads >= 1
    assert 0 < after.anon_bytes < after.rss_bytes
    assert after.rss_bytes == pytest.approx(rss_bytes(os.getpid()), rel=0.2)


def test_a_process_that_is_gone_counts_nothing() -> None:
    assert processes(2**22 + 1).rss_bytes == 0


class Sidecar:
    """An admin port that says what it is told to."""

    def __init__(self) -> None:
        self.types: list[int] = []
        self.metrics = b'fastroute_sink_dropped_total{sink="log"} 0.0\nfastroute_in_flight_requests 3.0\n'
        self.port = AdminPort(AdminCalls(runtime=self._runtime, metrics=lambda accept: (self.metrics, "text/plain")))

    def _runtime(self, types: int) -> dict[str, object]:
        self.types.append(types)
        return {"tasks": 4, "in_flight": 2, "remembered": 9, **({"types": {"dict": 7}} if types else {})}


@pytest.fixture
async def sidecar():
    sidecar = Sidecar()
    sidecar.number = await sidecar.port.start("127.0.0.1", 0)
    yield sidecar
    await sidecar.port.stop()


async def test_a_sample_joins_what_both_say(sidecar) -> None:
    watch = Watch(os.getpid(), 1, sidecar.number, {2})
    try:
        sample = await watch.sample(visits=12, under_way=3)
    finally:
        watch.close()
    assert (sample.tasks, sample.in_flight, sample.remembered, sample.visits, sample.under_way) == (4, 2, 9, 12, 3)
    assert sample.fds > 0
    assert sidecar.types == [0]  # counting objects is not done in passing


async def test_types_are_asked_for_expressly(sidecar) -> None:
    watch = Watch(os.getpid(), 1, sidecar.number, {2})
    try:
        assert await watch.types() == {"dict": 7}
    finally:
        watch.close()
    assert sidecar.types == [ALL_TYPES]
    assert ALL_TYPES <= MAX_LAST


async def test_only_lost_records_are_reported(sidecar) -> None:
    watch = Watch(os.getpid(), 1, sidecar.number, {2})
    try:
        assert await watch.lost_records() == []
        sidecar.metrics = b'fastroute_sink_dropped_total{sink="log"} 3.0\nfastroute_sink_errors_total{sink="x"} 0.0\n'
        assert await watch.lost_records() == ['fastroute_sink_dropped_total{sink="log"} 3.0']
    finally:
        watch.close()


def test_the_types_that_must_not_stay_exist() -> None:
    """A class that is moved or renamed would be watched no more, and nobody would notice."""
    import importlib

    for name in TRACKED:
        module, _, cls = name.rpartition(".")
        if module:
            assert hasattr(importlib.import_module(module), cls), name
