"""When the packets of a transport stream leave for a decoder: by the stream's own clock.

A decoder on a network has no other clock than the pace at which packets come. So each packet leaves at the
time that the PCR says (ISO 13818-1, 2.4.2.2), interpolated by bytes between two of them: what stands behind
a PCR waits until the next one is known. All datagrams are full; only the last one of the stream may not be.

What comes at once at the start (a node's history, so that a picture is there) leaves at its pace, too. It
stays a constant delay: making up for it would mean a clock that runs too fast. Three things move the clock:

- What would leave at a time that is over (the source has paused, the machine was asleep) leaves `MARGIN`
  from now, and all behind it as much later.
- Our clock and the source's differ by up to 100 ppm, so what waits grows or shrinks over days. The least
  wait of half a minute is compared with what it was at first, and made up for by `MAX_DRIFT`.
- A PCR that leaps takes no time: it is another clock.

Pure: the time is handed in. Times are monotonic seconds, ticks are those of 27 MHz.
"""

from collections import deque
from typing import NamedTuple

from mcast.wire.mpegts import PACKET, PCR_CLOCK, PCR_WRAP, pcr_at, pid_at
from mcast.wire.rtp import MAX_PACKETS

MARGIN = 0.2
"""Seconds that everything waits at least, so that a hiccup of the machine leaves no hole."""
WINDOW = 30.0
"""Seconds over which the least wait is looked for: longer than a congestion lasts."""
MAX_DRIFT = 0.000_1
"""Seconds per second by which the clock follows the source: more than two quartzes differ."""
MAX_STEP = 1.0
"""Seconds between two PCRs, at most 0.1 by the standard; more is a leap."""
MAX_UNTIMED = 16_384
"""Packets that wait for the next PCR: 3 MB. A stream without a clock leaves as it comes."""
_SILENT = 4_096  # packets without a PCR of its PID, after which another PID's clock is taken


class Departure(NamedTuple):
    """One datagram, and the stream's time at which its first packet is due."""

    ticks: int
    payload: bytes


class Departures:
    """Packets in, datagrams out at their time. Not thread-safe."""

    def __init__(self) -> None:
        self._pid: int | None = None  # whose clock it is
        self._pcr = 0  # the last one of that PID
        self._elapsed = 0  # the stream's time then
        self._untimed: list[bytes] = []  # packets since then
        self._open: list[bytes] = []  # a datagram that is not full yet, and when it is due
        self._open_ticks = 0
        self._ready: deque[Departure] = deque()
        self._offset: float | None = None  # when the stream's time was 0
        self._least: float | None = None  # wait of this window
        self._usual: float | None = None  # the same of the first window
        self._window_began = 0.0
        self.queued = 0
        """Bytes that wait."""

    def feed(self, data: bytes, now: float) -> None:
        """Take in whole packets that have come now."""
        self.queued += len(data)
        for at in range(0, len(data) - PACKET + 1, PACKET):
            if data[at + 3] & 0x20 and (pcr := pcr_at(data, at)) is not None:
                self._on_pcr(pid_at(data, at), pcr, now)
            self._untimed.append(data[at : at + PACKET])
        if len(self._untimed) > MAX_UNTIMED:
            self._settle(0, now)

    def finish(self, now: float) -> None:
        """Take in that no more will come: what waits for the next PCR leaves at the time of the last."""
        self._settle(0, now)
        if self._open:
            self._close()

    def next_due(self) -> float | None:
        """Return when the next datagram leaves, None if none is ready."""
        return self._moment(self._ready[0].ticks) if self._ready else None

    def due(self, now: float) -> list[Departure]:
        """Return what leaves now."""
        leaving = []
        while self._ready and self._moment(self._ready[0].ticks) <= now:
            leaving.append(departure := self._ready.popleft())
            self.queued -= len(departure.payload)
        return leaving

    def _moment(self, ticks: int) -> float:
        return ticks / PCR_CLOCK + (self._offset or 0.0)

    def _on_pcr(self, pid: int, pcr: int, now: float) -> None:
        if pid != self._pid:
            if self._pid is not None and len(self._untimed) < _SILENT:
                return  # of another programme
            self._pid, self._pcr = pid, pcr
        step = (pcr - self._pcr) % PCR_WRAP
        self._pcr = pcr
        self._settle(step if step <= MAX_STEP * PCR_CLOCK else 0, now)

    def _settle(self, span: int, now: float) -> None:
        """Time the packets since the last PCR, between which and the next one is `span`."""
        if self._untimed:
            self._follow(now)
        for index, packet in enumerate(self._untimed):
            if not self._open:
                self._open_ticks = self._elapsed + span * index // len(self._untimed)
            self._open.append(packet)
            if len(self._open) == MAX_PACKETS:
                self._close()
        self._elapsed += span
        self._untimed.clear()

    def _close(self) -> None:
        self._ready.append(Departure(self._open_ticks, b"".join(self._open)))
        self._open.clear()

    def _follow(self, now: float) -> None:
        """Have the clock follow the source, by how long before its time something has come."""
        wait = self._moment(self._elapsed) - now
        if self._offset is None or wait < 0:
            self._offset = now + MARGIN - self._elapsed / PCR_CLOCK
            self._least = self._usual = None
            self._window_began, wait = now, MARGIN
        self._least = wait if self._least is None else min(self._least, wait)
        if now - self._window_began < WINDOW:
            return
        if self._usual is None:
            self._usual = self._least
        most = MAX_DRIFT * WINDOW
        self._offset += min(max(self._usual - self._least, -most), most)
        self._least, self._window_began = None, now
