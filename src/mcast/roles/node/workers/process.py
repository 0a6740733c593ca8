"""One worker of a node, as the node sees it: started, given orders, heard, and started again when it dies.

    down --start--> up: orders are sent, facts are heard --it dies, or says nothing--> down
      ^                                                                                 |
      '------------------------------ a pause, twice as long each time -----------------'

The thread `worker-N` starts the process and hears it, `orders-N` sends to it: so who gives an order never
waits.
"""

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket

from mcast.errors import WireError
from mcast.eventlog import note
from mcast.net.backoff import Backoff
from mcast.net.deadline import Deadline
from mcast.net.task_thread import TaskThread
from mcast.net.threads import OnCrash, OwnedThread
from mcast.roles.node.load import Share
from mcast.roles.node.workers.messages import Begin, Fact, Order, Stands
from mcast.roles.node.workers.pipe import Pipe, pair

logger = logging.getLogger(__name__)

MODULE = "mcast.roles.node.workers.main"
LOOK = 0.1
"""Seconds between two looks at a worker that says nothing."""
SILENT_SECONDS = 5.0
"""A worker that says nothing for so long, where ten words should come every second, hangs and is killed.
Twice a lease: its parents and children have given it up by then, so that killing it costs nothing more."""
START_SECONDS = 60.0
"""The same before its first word: on a busy machine starting takes its time."""
END_SECONDS = 1.0
"""How long an orderly end may take: with a hand-over before it, less than what a program has for its end."""
EXIT_SECONDS = 0.2
"""From the end of its socket to that of a process, which has nothing else to do; longer, and it is killed."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0
"""Seconds until a worker that has died is started again."""
GOOD_SECONDS = 60.0
"""One that has lived so long is started again after the first pause."""

SHARE_SECONDS = 1.0
"""Over which it is told how busy a worker is."""

NOTHING_TOLD = Stands(0, 0, ())


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears of workers. Called by the thread of the worker concerned; nothing of it waits."""

    on_up: Callable[["WorkerProcess"], None]  # it takes orders
    on_fact: Callable[["WorkerProcess", Fact], None]
    on_down: Callable[["WorkerProcess"], int]  # it has died; returns how many contents it carried


class WorkerProcess:
    """Owns a worker, and the two threads that hear it and send to it."""

    def __init__(self, number: int, begin: Begin, ears: Ears, on_crash: OnCrash) -> None:
        self.number, self._begin, self._ears = number, begin, ears
        self._told = NOTHING_TOLD  # last, since it was started
        self._cpu_of_former_us = 0  # what those have taken that have died
        self._share = Share(SHARE_SECONDS)
        self._stopping, self._at_work = threading.Event(), threading.Event()
        self._lock = threading.Lock()  # guards the next
        self._pipe: Pipe[Fact] | None = None  # while it is up
        self._backoff = Backoff(FIRST_PAUSE, LAST_PAUSE)
        self._orders = TaskThread(f"orders-{number}", on_crash)
        self._thread = OwnedThread(f"worker-{number}", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.number} {'up' if self.is_up else 'down'}>"

    @property
    def is_up(self) -> bool:
        """Return whether it takes orders."""
        return self._pipe is not None

    @property
    def is_at_work(self) -> bool:
        """Return whether it has begun to do them."""
        return self._at_work.is_set()

    @property
    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far, those before it included."""
        return (self._cpu_of_former_us + self._told.cpu_us) / 1_000_000

    @property
    def memory_kb(self) -> int:
        """Return the memory that it holds."""
        return self._told.memory_kb

    @property
    def share(self) -> float:
        """Return how much of a core it has used in the last second."""
        return self._share.of_a_core

    def start(self) -> None:
        """Start it, and again whenever it dies."""
        self._orders.start()
        self._thread.start()

    def wait_at_work(self, deadline: Deadline) -> bool:
        """Wait until it has begun to do orders; return whether it has."""
        return self._at_work.wait(deadline.timeout())

    def order(self, order: Order, *sockets: socket) -> None:
        """Have it do something; while it is down that is lost. Never waits.

        The sockets are for the worker, and are closed here when it has them.
        """
        pipe = self._pipe
        if pipe is not None:
            self._orders.post(partial(_send, pipe, order, sockets))
        else:
            for each in sockets:
                each.close()

    def ask_to_stop(self) -> None:
        """Let it end behind the orders that were given before."""
        self._stopping.set()
        with self._lock:
            if self._pipe is not None:
                self._orders.post(self._pipe.finish)

    def stop(self) -> None:
        """End it, and wait for that."""
        self.ask_to_stop()
        self._thread.join()
        self._orders.stop()

    # In the thread worker-N

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            reason = self._live()
            if self._stopping.is_set():
                return
            contents = self._ears.on_down(self)
            note(
                logger, "worker_lost", "worker %d has ended: %s; contents of it: %d", self.number, reason,
                contents, level=logging.ERROR, worker=self.number, reason=reason, contents=contents,
            )  # fmt: skip
            if time.monotonic() - began > GOOD_SECONDS:
                self._backoff.reset()
            self._stopping.wait(self._backoff.next())

    def _live(self) -> str:
        """Start the process and hear it to its end; return how it has ended."""
        try:
            pipe, process = _start()
        except OSError as error:
            return f"cannot be started: {error}"
        note(logger, "worker_started", "worker %d started, process %d", self.number, process.pid,
             worker=self.number, pid=process.pid)  # fmt: skip
        try:
            self._begin_to_order(pipe)
            why = self._hear(pipe)
            if why:
                process.kill()  # first: who finds the socketpair closed says BYE to the parents
        finally:
            self._end_to_order(pipe)
            ended = _ended(process)
        return why or ended

    def _begin_to_order(self, pipe: Pipe[Fact]) -> None:
        with self._lock:
            # First, as others give orders without the lock from the next line on.
            self._orders.post(partial(_send, pipe, self._begin, ()))
            self._pipe = pipe
            if self._stopping.is_set():
                self._orders.post(pipe.finish)
        self._ears.on_up(self)

    def _end_to_order(self, pipe: Pipe[Fact]) -> None:
        with self._lock:
            self._pipe = None
        pipe.cut()
        self._orders.post(pipe.close)  # there, as it may be sending by this descriptor now
        self._at_work.clear()
        self._cpu_of_former_us += self._told.cpu_us
        self._told = NOTHING_TOLD

    def _hear(self, pipe: Pipe[Fact]) -> str:
        """Take in what it tells until it ends; return why it has to be ended, nothing if it has ended."""
        silent, end_by = 0.0, math.inf
        while silent < (SILENT_SECONDS if self.is_at_work else START_SECONDS):
            if self._stopping.is_set():
                end_by = min(end_by, time.monotonic() + END_SECONDS)
                if not self.is_at_work or time.monotonic() >= end_by:
                    return ""
            try:
                fact, _ = pipe.receive(LOOK)
            except TimeoutError:
                silent += LOOK  # not by the clock: this process may have slept itself
                continue
            except EOFError:
                return ""
            except WireError as error:
                return f"it cannot be understood: {error}"
            silent = 0.0
            if isinstance(fact, Stands):
                self._told = fact
                self._share.note(time.monotonic(), self.cpu_seconds)
                self._at_work.set()
            self._ears.on_fact(self, fact)
        return "it says nothing any more"


def _start() -> "tuple[Pipe[Fact], subprocess.Popen[bytes]]":
    """Start a worker; return the node's end of the socketpair, and the process. Raises OSError."""
    pipe, theirs = pair()
    with theirs:
        try:
            return pipe, _spawn(theirs)
        except OSError:
            pipe.close()
            raise


def _send(pipe: Pipe[Fact], order: Order, sockets: Sequence[socket]) -> None:
    try:
        with contextlib.suppress(OSError):  # it has died: `worker-N` sees that
            pipe.send(order, sockets)
    finally:
        for each in sockets:
            each.close()


def _spawn(theirs: socket) -> "subprocess.Popen[bytes]":
    """Start a worker with this end of the socketpair. Raises OSError.

    In a group of its own: Ctrl-C at a terminal is for the node. Not with PR_SET_PDEATHSIG, which looks at the
    thread that has started a process: the end of the socketpair tells that the node has died. With -P, as
    modules that lie in the directory where the node was started are not for it.
    """
    here = str(Path(__file__).parents[4])  # where `mcast` is
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def _ended(process: "subprocess.Popen[bytes]") -> str:
    """Wait for the end of a process that has let go of us, or has to; return how it has ended."""
    try:
        process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    status = process.returncode
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
