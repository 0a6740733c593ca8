"""The table of a prepared stream's datagrams: cut once, kept beside the stream, mapped into memory.

A two-hour film has 3.5 million datagrams; as Python objects they would fill half a gigabyte.
"""

import mmap
import sys
from array import array
from pathlib import Path
from typing import Self

from mcast.errors import ConfigError
from mcast.media.cancelling import Cancelled, check_wanted, never
from mcast.media.source.cache import Cache
from mcast.media.source.cutting import CUTTING_VERSION, Cutter
from mcast.wire.mpegts import PACKET

_BLOCK = PACKET * 4_096
_HEADER = 64  # bytes; keeps the numbers behind it aligned


class Cuts:
    """Datagram i holds the packets `starts[i]` to `starts[i + 1]` (none: a null packet) at `times[i]`."""

    def __init__(self, table: mmap.mmap, count: int) -> None:
        self._table, self._view = table, memoryview(table)
        starts, keyframes = _HEADER + 8 * count, _HEADER + 8 * count + 4 * (count + 1)
        self.count = count
        self.times = self._view[_HEADER:starts].cast("Q")  # 90 kHz since the round's first PCR
        self.starts = self._view[starts:keyframes].cast("I")
        self.keyframes = self._view[keyframes:]  # 1: a keyframe starts here

    @classmethod
    def open(
        cls, entry: Path, datagram_packets: int, packets: int, period: int, cancelled: Cancelled = never
    ) -> Self:
        """Map the table of a cache entry, after making it if need be. Raises ConfigError, CancelledError."""
        path = entry / f"cuts-{datagram_packets}.v{CUTTING_VERSION}"
        expected = _header(datagram_packets, packets, period)
        for attempt in range(2):
            try:
                with path.open("rb") as file:
                    table = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):  # none yet, or empty
                table = None
            if table is not None:
                count, rest = divmod(len(table) - _HEADER - 4, 8 + 4 + 1)
                if table[:_HEADER] == expected and count > 0 and not rest:
                    return cls(table, count)
                table.close()
            if attempt == 0:
                _make(entry, path, datagram_packets, period, expected, cancelled)
        raise ConfigError(f"{path}: damaged; remove it")

    def close(self) -> None:
        """Unmap the table. It must not be used afterwards."""
        for view in (self.times, self.starts, self.keyframes, self._view):
            view.release()
        self._table.close()


def _header(datagram_packets: int, packets: int, period: int) -> bytes:
    text = f"mcast cuts {CUTTING_VERSION} {sys.byteorder} {datagram_packets} {packets} {period}\n"
    return text.encode().ljust(_HEADER, b"\0")


def _make(
    entry: Path, path: Path, datagram_packets: int, period: int, header: bytes, cancelled: Cancelled
) -> None:
    times, starts, keyframes = array("Q"), array("I"), bytearray()
    cutter = Cutter(datagram_packets)
    packets = 0
    with (entry / "stream.ts").open("rb") as stream:
        while True:
            check_wanted(cancelled)
            block = stream.read(_BLOCK)
            packets += len(block) // PACKET
            cuts = cutter.feed(block) if block else cutter.finish(period)
            # A datagram belongs to its round: due before the next one begins, whatever the clock said.
            times.extend([min(cut.time, period - 1) for cut in cuts])
            starts.extend([cut.first for cut in cuts])
            keyframes.extend([cut.keyframe for cut in cuts])
            if not block:
                break
    starts.append(packets)
    Cache(entry.parent).write(path, header + times.tobytes() + starts.tobytes() + bytes(keyframes))
