"""Contents come and go, and workers are killed again and again: media goes on, and nothing grows."""

import contextlib
import gc
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from helpers import PATIENCE, wait_until
from mcast.media.child import ChildLost
from mcast.overlay.events import Feed
from mcast.roles.node.content_relay import Newcomer
from mcast.roles.node.load import resident_kb
from mcast.roles.node.workers import messages, process
from mcast.roles.node.workers.pipe import Pipe
from mcast.roles.node.workers.pool import WorkerPool
from mcast.roles.node.workers.process import WorkerProcess
from mcast.roles.node.workers.remote_relay import RemoteRelay
from media.plane.parts import LOCAL, PATIENT, family
from media.plane.streams import numbers_of, train
from roles.relay_scene import Scene
from topology.outside import udp_sockets

DEATHS = 20


Pids: TypeAlias = dict[str, int]
"""Which process each worker is, by the name of the thread that has started it."""


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> Pids:
    monkeypatch.setattr(process, "LAST_PAUSE", process.FIRST_PAUSE)  # whatever dies is there again soon
    monkeypatch.setattr(process.logger, "disabled", True)  # what pytest keeps of each line would grow
    found: Pids = {}
    spawn = process._spawn

    def noted(theirs: socket.socket) -> "subprocess.Popen[bytes]":
        started = spawn(theirs)
        found[threading.current_thread().name] = started.pid
        return started

    monkeypatch.setattr(process, "_spawn", noted)
    return found


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    threads: int
    descriptors: int
    blocks: int
    kilobytes: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(threading.active_count(), descriptors, sys.getallocatedblocks(), resident_kb())


def by_signal(_worker: WorkerProcess, pid: int) -> None:
    """Let the kernel end it, as when there is no memory left."""
    os.kill(pid, signal.SIGKILL)


def by_a_fault(worker: WorkerProcess, _pid: int) -> None:
    """Let it meet what must not be: it is to close what it has not."""
    worker.order(messages.Close(99))


def by_silence(_worker: WorkerProcess, pid: int) -> None:
    """Let it say nothing until it is given up."""
    os.kill(pid, signal.SIGSTOP)


class Watched:
    """A content that one of two workers carries, with a parent and a child."""

    def __init__(self, scene: Scene, upstream: int = 1) -> None:
        self._scene = scene
        scene.receive(upstream)
        self._next = 0
        self._push()
        _, self._trains = scene.child()
        self._wait_for_media()

    @property
    def carrier(self) -> int:
        relay = self._scene.relay
        assert isinstance(relay, RemoteRelay)
        return 0 if relay.worker is None else relay.worker.number

    def survives(self, pids: Pids, kill: Callable[[WorkerProcess, int], None] = by_signal) -> None:
        """End who carries it; fail unless the next number arrives by the other one, and both are back."""
        relay = self._scene.relay
        assert isinstance(relay, RemoteRelay)
        assert relay.worker is not None
        dying = self.carrier
        name = f"worker-{dying}"
        pid = pids[name]
        kill(relay.worker, pid)
        wait_until(lambda: self.carrier not in (0, dying), "the other worker")
        self.goes_on()
        wait_until(lambda: pids[name] != pid, "the next one")
        wait_until(self._all_at_work, "both at work")

    def goes_on(self) -> None:
        """Fail unless the next number arrives."""
        self._push()
        self._wait_for_media()

    def _push(self) -> None:
        self._scene.above.fanout.push(train(self._next, 1, keys=[self._next]))
        self._next += 1

    def _wait_for_media(self) -> None:
        wait_until(lambda: self._next - 1 in numbers_of(list(self._trains)), f"datagram {self._next - 1}")
        self._trains.clear()

    def _all_at_work(self) -> bool:
        host = self._scene.host
        assert isinstance(host, WorkerPool)
        return all(worker.is_at_work for worker in host._workers)


def test_after_twenty_deaths_media_still_flows_and_nothing_has_grown(pids: Pids) -> None:
    with family(timing=PATIENT) as above:
        scene = Scene(above, partial(WorkerPool, 2))
        try:
            watched = Watched(scene)
            for _ in range(2):  # what is made once is there then
                watched.survives(pids)
            before = Held.now()
            for _ in range(DEATHS):
                watched.survives(pids)
            wait_until(lambda: Held.now().threads == before.threads, "no more threads than before")
            after = Held.now()
        finally:
            scene.close()
    assert after.descriptors == before.descriptors
    assert after.blocks - before.blocks < 25 * DEATHS, "no object is left of each"
    assert after.kilobytes - before.kilobytes < 2_000


@pytest.mark.parametrize("kill", [by_signal, by_a_fault, by_silence])
def test_however_a_worker_ends_no_parent_hears_that_somebody_leaves(
    kill: Callable[[WorkerProcess, int], None], pids: Pids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that comes to itself when its node has given it up would say BYE, were it not dead by then."""
    cut = Pipe.cut

    def cut_and_wake(pipe: "Pipe[messages.Fact]") -> None:
        cut(pipe)
        for pid in pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    monkeypatch.setattr(Pipe, "cut", cut_and_wake)
    monkeypatch.setattr(process, "EXIT_SECONDS", PATIENCE)
    if kill is by_silence:
        monkeypatch.setattr(process, "SILENT_SECONDS", 1.0)
    with family(timing=PATIENT) as above:
        scene = Scene(above, partial(WorkerPool, 2))
        try:
            Watched(scene).survives(pids, kill)
            assert above.lost == []
        finally:
            scene.close()


def test_a_worker_without_descriptors_refuses_what_comes_and_carries_on_what_it_has(pids: Pids) -> None:
    """The worker has a limit of its own; its node may have descriptors left."""
    with family(timing=PATIENT) as above:
        scene = Scene(above, partial(WorkerPool, 1))
        try:
            watched = Watched(scene)
            (worker,) = pids.values()
            held = {int(each.name) for each in Path(f"/proc/{worker}/fd").iterdir()}
            free = next(number for number in itertools.count() if number not in held)
            _, most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (free, most))
            scene.receive(2)
            wait_until(lambda: (2, Feed.SILENT) in scene.posted.feeds, "the decisions to hear of the parent")
            relay = scene.relay
            assert isinstance(relay, RemoteRelay)
            relay.share_again()  # as for the first child at another address
            relay.take_in(Newcomer(77, "viewer", LOCAL, LOCAL, bytes(16), None))
            assert scene.lost.wait_for(1) == [(77, ChildLost.NO_SOCKET)]
            watched.goes_on()
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (most, most))
            _, trains = scene.child()
            wait_until(lambda: trains, "the next child to be fed by the same worker")
            assert list(pids.values()) == [worker]
        finally:
            scene.close()


def test_contents_that_are_over_leave_no_socket_in_their_worker(pids: Pids) -> None:
    with family(timing=PATIENT) as above:
        scene = Scene(above, partial(WorkerPool, 1))
        try:
            wait_until(lambda: pids, "the worker")
            (worker,) = pids.values()
            for upstream in (
                1,
                2,
                3,
            ):  # each its own: the last BYE of one must not be taken for the next one's
                Watched(scene, upstream)
                wait_until(lambda: udp_sockets(worker) >= 3, "the parent's, the common one, the child's")
                scene.db.close("news")
                wait_until(lambda: not udp_sockets(worker), "the last socket to be closed")
        finally:
            scene.close()
