"""Where a transport stream is cut into datagrams: a function of its bytes alone.

The rules, for packets in the order of the stream, each exactly once:

- A packet is due at the time that its PCR says, interpolated by bytes between two PCRs: ffmpeg writes
  one at the head of each frame and holds it still until the next. So the packets behind a PCR are timed
  when the next one is known.
- A datagram ends when it is full, when its next packet is due more than 40 ms after its first (or thin
  contents would stutter), and before a program association table: a keyframe starts its own datagram,
  so that a relay finds a place to start a viewer by looking at one datagram's head. In a stream that was
  made elsewhere most tables are no such place: these stand within a datagram, never at its head.
- Where the next datagram is due more than 100 ms after the last one, datagrams of one null packet fill
  the gap, every 100 ms: silence means that something is broken, never that a picture stands still.

Pure, so that a datagram's number means the same bytes at every server that has the same file.
Times are ticks of 90 kHz.
"""

from typing import NamedTuple

from mcast.errors import McastError
from mcast.wire.mpegts import PACKET, PCR_CLOCK, PCR_WRAP, pcr_at

CUTTING_VERSION = 1
"""Part of a stream's digest: change it whenever the same bytes would be cut otherwise."""

SPAN = 3_600  # 40 ms: a frame at 25 fps
NULL_INTERVAL = 9_000  # 100 ms: a child calls 300 ms of silence a failure, so two may get lost
MAX_AHEAD = 16_384  # packets that wait for a PCR: 3 MB, more than 40 ms of 500 Mbit/s
MAX_PCR_STEP = 10 * PCR_CLOCK  # a larger step between two PCRs is a jump of the clock, no passing of time


class StreamFormatError(McastError):
    """The bytes are no transport stream that can be cut."""


class Cut(NamedTuple):
    """One datagram: which packets, when it is due, and whether a keyframe starts here."""

    first: int  # number of its first packet in the stream
    packets: int  # 0: a null packet that is not in the stream, sent before packet `first`
    time: int  # 90 kHz
    keyframe: bool


class Cutter:
    """Cut a stream that arrives piece by piece.

    How the stream is divided into pieces makes no difference to the cuts. Time 0 is the first PCR.
    """

    def __init__(self, datagram_packets: int) -> None:
        self._room = datagram_packets
        self._time = 0  # of the last PCR
        self._origin = 0  # time that was added as the source's clock stood still
        self._floor = 0  # the next PCR is not before this time
        self._elapsed = 0  # from the first PCR to the last one, 27 MHz
        self._pcr: int | None = None  # the last one
        self._waiting = 0  # number of the first packet that has no time yet
        self._seen = 0  # number of the next packet to come
        self._tables: list[int] = []  # which of the waiting packets are PATs where a viewer may begin
        self._plain: list[int] = []  # and which ones are PATs where none may
        self._first = self._count = self._start = 0  # the open datagram
        self._keyframe = False
        self._last: int | None = None  # when the last datagram was due
        self._cuts: list[Cut] = []

    @property
    def last_time(self) -> int:
        """When the last datagram was due, or when the first will be."""
        return self._last or 0

    @property
    def needs(self) -> int:
        """Number of the first packet that is in no cut yet."""
        return self._first if self._count else self._waiting

    def feed(self, data: bytes, *, is_start: bool | None = None, clock: int | None = None) -> list[Cut]:
        """Take whole packets, return the datagrams that they complete. Raises StreamFormatError.

        A viewer may begin at every PAT; with `is_start` only at one that stands first here, and nowhere
        without it (False). `clock` is the PID whose PCR counts where there are several.
        """
        total = len(data) // PACKET
        if total * PACKET != len(data) or data[::PACKET] != b"\x47" * total:
            raise StreamFormatError("not MPEG-TS: a packet of 188 bytes without its sync byte 0x47")
        base = self._seen
        fields = zip(data[1::PACKET], data[2::PACKET], data[3::PACKET], data[5::PACKET], strict=True)
        for index, (high, low, control, flags) in enumerate(fields):
            if high & 0x5F == 0x40 and not low:
                begins = is_start is None or (is_start and not index)
                (self._tables if begins else self._plain).append(base + index)
            elif control & 0x20 and flags & 0x10 and (pcr := pcr_at(data, index * PACKET)) is not None:
                if clock is None or clock == (high & 0x1F) << 8 | low:
                    self._on_pcr(base + index, pcr)
            elif base + index - self._waiting >= MAX_AHEAD:
                self._give_up_waiting(base + index)
        self._seen = base + total
        return self._taken()

    def finish(self, period: int | None = None) -> list[Cut]:
        """End the stream; with a period, fill up to where its next round begins.

        Without one, more may follow: another run of the source, whose clock begins anew.
        """
        end = self._time if period is None else max(self._time, period)
        self._settle(self._seen, end)
        self._close()
        self._pcr = None
        self._tables.clear()
        self._plain.clear()
        if period is not None:
            self._fill(end, self._seen)
        return self._taken()

    def not_before(self, time: int) -> None:
        """Let the next PCR be at this time or later: the source was silent so long."""
        self._floor = time

    def idle(self, time: int) -> list[Cut]:
        """Take note that nothing has come until `time`: what waits goes out, then a null packet."""
        self._settle(self._seen, self._time)
        self._close()
        self._null(max(time, self.last_time), self._seen)
        return self._taken()

    def _taken(self) -> list[Cut]:
        cuts, self._cuts = self._cuts, []
        return cuts

    def _on_pcr(self, packet: int, pcr: int) -> None:
        step = 0 if self._pcr is None else (pcr - self._pcr) % PCR_WRAP
        if step <= MAX_PCR_STEP:
            self._elapsed += step
        self._pcr = pcr
        time = self._origin + self._elapsed // 300
        if time < (floor := max(self.last_time, self._floor)):  # the source's clock stood still
            self._origin += floor - time
            self._time = time = floor
        self._settle(packet, time)

    def _give_up_waiting(self, packet: int) -> None:
        if self._pcr is None:
            raise StreamFormatError(f"no clock (PCR) in the first {MAX_AHEAD} packets")
        self._settle(packet, self._time)

    def _settle(self, end: int, time: int) -> None:
        """Time the waiting packets, of which `end` is the first that is due at `time`; place them."""
        begin, since = self._waiting, self._time
        count, elapsed, tables, room = end - begin, time - self._time, self._tables, self._room
        for packet in range(begin, end):
            due = since + elapsed * (packet - begin) // count
            table = bool(tables) and tables[0] == packet
            fits = self._count < room and due - self._start <= SPAN
            if self._plain:
                fits = self._fits_before_plain(packet, fits=fits)
            if self._count and not table and fits:
                self._count += 1
                continue
            self._close()
            self._open(packet, due, table)
            if table:
                del tables[0]
        self._waiting, self._time = end, time

    def _fits_before_plain(self, packet: int, *, fits: bool) -> bool:
        """Return whether a packet goes into the open datagram, where a PAT is near that must not open one."""
        if self._plain[0] == packet:
            del self._plain[0]
            return self._count < self._room
        # The next one is such a PAT: room is left for both, or both go into the next datagram.
        return fits and (self._plain[0] != packet + 1 or self._count < self._room - 1)

    def _open(self, packet: int, due: int, keyframe: bool) -> None:
        if self._last is not None:
            due = max(due, self._last)  # behind null packets that a silent source needed
            self._fill(due, packet)
        self._first, self._count, self._start, self._keyframe = packet, 1, due, keyframe

    def _close(self) -> None:
        if self._count:
            self._cuts.append(Cut(self._first, self._count, self._start, self._keyframe))
            self._last, self._count = self._start, 0

    def _fill(self, time: int, packet: int) -> None:
        while self._last is not None and time - self._last > NULL_INTERVAL:
            self._null(self._last + NULL_INTERVAL, packet)

    def _null(self, time: int, packet: int) -> None:
        self._cuts.append(Cut(packet, 0, time, False))
        self._last = time
