"""Which worker carries which content: evenly, for good, and what becomes of it when workers die."""

import socket
from collections.abc import Iterator
from typing import cast

import pytest

from helpers import Recorder
from mcast.net.deadline import Deadline
from mcast.net.ports import MediaPorts
from mcast.overlay.events import Feed, FeedChanged
from mcast.roles.node.content_relay import CarrierUse, Listeners
from mcast.roles.node.own_process import MediaSettings
from mcast.roles.node.workers import messages
from mcast.roles.node.workers import pool as pool_module
from mcast.roles.node.workers.pool import WorkerPool
from mcast.roles.node.workers.process import Ears, WorkerProcess
from mcast.roles.node.workers.remote_relay import RemoteRelay
from mcast.wire.position import Position
from roles.test_workers import TOKEN, media_socket

HERE = Position(0x12345678, 1000)


class PlainWorker:
    """A worker that lives and dies by word of the test."""

    def __init__(self, number: int, _begin: messages.Begin, ears: Ears, _on_crash: object) -> None:
        self.number, self._ears = number, ears
        self.is_up = self.is_at_work = False
        self.cpu_seconds = self.share = 0.0

    def start(self) -> None:
        self.is_up = self.is_at_work = True
        self._ears.on_up(cast(WorkerProcess, self))

    def wait_at_work(self, deadline: Deadline) -> bool:
        assert not deadline.expired
        return self.is_at_work

    def die(self) -> int:
        self.is_up = self.is_at_work = False
        return self._ears.on_down(cast(WorkerProcess, self))

    def order(self, _: object, *sockets: socket.socket) -> None:
        for each in sockets:
            each.close()

    def tell(self) -> None:
        """Tell how far its relays have come, as it does ten times a second."""
        self._ears.on_fact(cast(WorkerProcess, self), messages.Stands(0, 0, ()))


@pytest.fixture
def posted() -> Recorder:
    return Recorder()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, posted: Recorder, crash: Recorder) -> WorkerPool:
    monkeypatch.setattr(pool_module, "WorkerProcess", PlainWorker)
    listeners = Listeners(posted, Recorder(), Recorder(), crash)
    pool = WorkerPool(3, MediaSettings("n1", MediaPorts()), listeners)
    pool.start()
    return pool


@pytest.fixture
def twelve(pool: WorkerPool) -> Iterator[list[RemoteRelay]]:
    """Return twelve contents, each with a parent."""
    relays = [pool.open(f"content {number}", HERE, None) for number in range(12)]
    for number, relay in enumerate(relays):
        relay.add_parent(number, media_socket(), TOKEN, HERE, None)
    yield relays
    for relay in relays:
        relay.close()


def workers(pool: WorkerPool) -> list[PlainWorker]:
    return cast(list[PlainWorker], pool._workers)


def carriers(relays: list[RemoteRelay]) -> list[int]:
    """Return the numbers of the workers that carry these."""
    return [0 if relay.worker is None else relay.worker.number for relay in relays]


def spread(relays: list[RemoteRelay]) -> list[int]:
    """Return how many contents each of three workers carries."""
    return [carriers(relays).count(number) for number in (1, 2, 3)]


def test_contents_are_spread_evenly_and_stay_where_they_are_whoever_comes_and_goes(
    pool: WorkerPool, twelve: list[RemoteRelay]
) -> None:
    assert spread(twelve) == [4, 4, 4]
    before = carriers(twelve)
    first = [relay for relay, worker in zip(twelve, before, strict=True) if worker == 1]
    for relay in first:
        relay.close()
    more = [pool.open(f"more {number}", HERE, None) for number in range(4)]
    assert spread(more) == [4, 0, 0], "where there is room"
    assert carriers(twelve) == before
    for relay in more:
        relay.close()


def test_when_a_worker_dies_its_contents_alone_move_and_the_others_share_them(
    pool: WorkerPool, twelve: list[RemoteRelay], posted: Recorder
) -> None:
    before = carriers(twelve)
    dying = workers(pool)[1]
    assert dying.die() == 4
    after = carriers(twelve)
    assert spread(twelve) == [6, 0, 6]
    assert all(now == then for now, then in zip(after, before, strict=True) if then != 2)
    dying.start()
    assert carriers(twelve) == after, "what flows is left alone"
    assert carrier_of_next(pool) == 2
    assert not posted.calls, "neither parents nor children have to do with it"


def carrier_of_next(pool: WorkerPool) -> int:
    relay = pool.open("next", HERE, None)
    (number,) = carriers([relay])
    relay.close()
    return number


def test_a_content_that_was_closed_is_nobody_s_when_its_worker_dies(
    pool: WorkerPool, twelve: list[RemoteRelay]
) -> None:
    for relay in twelve:
        relay.close()
    assert [worker.die() for worker in workers(pool)] == [0, 0, 0]


def test_without_any_worker_the_parents_are_silent_until_one_is_there_again(
    pool: WorkerPool, twelve: list[RemoteRelay], posted: Recorder
) -> None:
    for worker in workers(pool):
        worker.die()
    assert spread(twelve) == [0, 0, 0]
    assert {event.upstream for event in silent(posted)} == set(range(12)), "each content's own parent"
    assert len(posted) == 12, "once"
    workers(pool)[2].start()
    assert spread(twelve) == [0, 0, 12]
    assert len(posted) == 12, "that media comes again is the worker's to tell"


def silent(posted: Recorder) -> list[FeedChanged]:
    events = cast(list[FeedChanged], posted.calls)
    return [event for event in events if event.feed is Feed.SILENT]


def test_a_content_that_cannot_be_handed_over_is_as_if_its_parents_were_silent_until_it_can(
    pool: WorkerPool,
    twelve: list[RemoteRelay],
    posted: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_descriptors(*_: object) -> None:
        raise OSError(24, "Too many open files")

    moving = [number for number, worker in enumerate(carriers(twelve)) if worker == 1]
    with monkeypatch.context() as broken:
        broken.setattr(socket.socket, "dup", no_descriptors)
        workers(pool)[0].die()
    assert [event.upstream for event in silent(posted)] == moving
    assert sum("Too many open files" in message for message in caplog.messages) == 4
    assert spread(twelve) == [0, 4, 4]
    workers(pool)[1].tell()
    assert spread(twelve) == [0, 4, 4], "not ten times a second"
    pool._retry_at = 0.0  # a second later
    workers(pool)[1].tell()
    assert spread(twelve) == [0, 6, 6]


def test_a_new_content_goes_to_a_worker_that_is_not_busy_though_it_carries_more(pool: WorkerPool) -> None:
    first, second, third = workers(pool)
    relays = [pool.open(f"content {number}", HERE, None) for number in range(4)]
    second.share = third.share = 0.7
    relays.append(pool.open("news", HERE, None))
    assert carriers(relays) == [1, 2, 3, 1, 1]
    first.share = 0.9
    relays.append(pool.open("sea", HERE, None))
    assert carriers(relays)[-1] == 2, "where all are busy, the one with the fewest"
    assert pool.uses()[0] == CarrierUse(0.0, frozenset({"content 0", "content 3", "news"}))
    for relay in relays:
        relay.close()
