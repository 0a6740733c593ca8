"""Viewers that watch from beginning to end, and what is checked of each byte that they put out.

A client writes to a pipe; one thread here reads all pipes. Of each it keeps a hash, the breaks of the
transport stream's counters, and the longest silence: an hour costs no disk. At the end the bytes that the
server sent, from the first number that the client reports, are made again and hashed: they must be the same.
"""

import hashlib
import json
import os
import selectors
import signal
import threading
import time
from typing import Any

from mcast.media.source.prepared import Prepared
from mcast.wire.mpegts import PACKET, ContinuityChecker
from tools.demo.check import Sent
from tools.demo.processes import ProgramError
from tools.lab.lab import Lab
from tools.soak.overlay import start_role
from tools.soak.verdict import Watched

_STEP = 1_024  # datagrams made at a time
_READ = 65_536
_POLL = 0.5
MOST_BREAKS = 1_000
"""Of which it is noted when they were: to be compared with the log of whoever was attacked then."""


class SteadyViewer:
    """One client, and what has come out of it. `take` is called by the thread that reads."""

    def __init__(self, lab: Lab, host: str, name: str, content: str, neighbour: str, latency_ms: int) -> None:
        """Start it; it waits for lost datagrams as long as `latency_ms`."""
        self.name, self.content = name, content
        self._report = lab.node_directory(host) / f"{name}.json"
        self._hash, self._checker = hashlib.sha256(), ContinuityChecker()
        self._rest = b""
        self._bytes, self._last = 0, 0.0
        self._silence = 0.0
        self._broken_at: list[float] = []
        self.output, theirs = os.pipe()
        try:
            self.program = start_role(
                lab, host, name, "client", "--content", content, "--neighbour", neighbour, "--output", "-",
                "--latency", str(latency_ms), "--report", str(self._report), "--wait", "180", stdout=theirs,
            )  # fmt: skip
        finally:
            os.close(theirs)

    def take(self, data: bytes) -> None:
        """Check what it has put out."""
        now = time.monotonic()
        self._silence = max(self._silence, now - self._last if self._last else 0.0)
        self._last = now
        self._bytes += len(data)
        self._hash.update(data)
        data = self._rest + data
        whole = len(data) - len(data) % PACKET
        if self._checker.feed(memoryview(data)[:whole]) and len(self._broken_at) < MOST_BREAKS:
            self._broken_at.append(now)
        self._rest = data[whole:]

    def ask_to_end(self) -> None:
        """Have it end; it puts out what it holds before."""
        self.program.send(signal.SIGINT)

    def result(self, sent: Sent | None) -> Watched:
        """Return what became of it, once it has ended and all was read. `sent`: None for a live content."""
        try:
            figures: dict[str, Any] = json.loads(self._report.read_text())
        except (OSError, ValueError) as error:
            return Watched(self.name, self.content, 0.0, 0, 0, 0.0, (f"it left no report: {error}",))
        problems = self._problems(figures)
        if sent is not None and not self._is_of(sent, figures["first_number"]):
            problems.append("it did not put out what the server sent")
        return Watched(
            self.name, self.content, figures["duration_s"], figures["lost_datagrams"], self._checker.errors,
            self._silence, tuple(problems), tuple(self._broken_at),
        )  # fmt: skip

    def _problems(self, figures: dict[str, Any]) -> list[str]:
        found = []
        if figures["exit_status"]:
            found.append(f"it ended: {figures['exit_reason']}")
        if figures["bytes"] != self._bytes or self._rest:
            found.append(f"it says {figures['bytes']} bytes, {self._bytes} came")
        return found

    def _is_of(self, sent: Sent, first: int | None) -> bool:
        if first is None:
            return False
        made, left = hashlib.sha256(), self._bytes
        with Prepared(sent.entry, sent.datagram_packets, loop=True) as prepared:
            while left > 0:
                data = prepared.payload(first, first + _STEP)[:left]
                made.update(data)
                first, left = first + _STEP, left - len(data)
        return made.digest() == self._hash.digest()


class PipeReader:
    """Owns the thread "pipes", which hands each steady viewer what it has put out."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipes")

    def start(self, viewers: list[SteadyViewer]) -> None:
        """Read the outputs of these from now on."""
        for viewer in viewers:
            self._selector.register(viewer.output, selectors.EVENT_READ, viewer)
        self._thread.start()

    def wait_all_read(self, timeout: float) -> None:
        """Wait until all outputs have ended. Raises ProgramError if they do not."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise ProgramError(f"steady viewers have not ended within {timeout:g} s")

    def close(self) -> None:
        """End the thread and close what is open."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()

    def _run(self) -> None:
        while self._selector.get_map() and not self._stopping.is_set():
            for key, _ in self._selector.select(_POLL):
                if data := os.read(key.fd, _READ):
                    key.data.take(data)
                else:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
