"""A prepared content as an endless row of numbered datagrams.

Number n is datagram n mod D of round n div D, D being the datagrams of one round. In round k the stream
is shifted by k periods (see `restamp`). All of it follows from the bytes, so two servers whose digests are
equal can replace each other at any number.
"""

import contextlib
import fcntl
import hashlib
import mmap
import threading
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from mcast.errors import ConfigError
from mcast.media.cancelling import Cancelled, never
from mcast.media.source.cache_upkeep import touch
from mcast.media.source.cuts import Cuts
from mcast.media.source.cutting import CUTTING_VERSION
from mcast.media.source.prepare import CLOCK, Description
from mcast.media.source.restamp import shift
from mcast.wire.mpegts import NULL_PACKET, PACKET
from mcast.wire.rtp import HEADER_SIZE, write_header
from mcast.wire.train import MAX_TRAIN_DATAGRAMS, Train


class Prepared:
    """One content, opened from its cache entry. Reading is safe from any thread.

    Who opened it and everybody who plays it hold it; the last to release it closes it. So a content can
    be taken out of the list while it is played.
    """

    def __init__(
        self, entry: Path, datagram_packets: int, *, loop: bool, cancelled: Cancelled = never
    ) -> None:
        """Open a cache entry, after cutting it if need be.

        Raises ConfigError if it is damaged, and CancelledError.
        """
        self.loop, self._entry = loop, entry
        with contextlib.ExitStack() as undo:
            with _whole(entry):
                self._described = undo.enter_context((entry / "stream.json").open("rb"))
                # As long as it is open, so that no clean-up of the cache takes it away. One that looks
                # at this entry holds it for a moment only.
                fcntl.flock(self._described, fcntl.LOCK_SH)
                self.description = Description.from_json(self._described.read())
                with (entry / "stream.ts").open("rb") as file:
                    self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                if len(self._mapping) != self.description.packets * PACKET:
                    raise ValueError("its size is not as described")
            about = self.description
            self._cuts = Cuts.open(entry, datagram_packets, about.packets, about.period, cancelled)
            undo.pop_all()
        self._origin = self.description.first_pcr // 300
        self.digest = _digest(self.description, datagram_packets)
        self._lock, self._holders = threading.Lock(), 1

    @property
    def datagrams(self) -> int:
        """How many datagrams one round has."""
        return self._cuts.count

    @property
    def end(self) -> int | None:
        """The number behind the last datagram; None if there is none."""
        return None if self.loop else self._cuts.count

    @property
    def period(self) -> int:
        """How long one round lasts, 90 kHz."""
        return self.description.period

    @property
    def bit_rate(self) -> int:
        """Bits a second on the wire, RTP headers included."""
        size = self.description.packets * PACKET + self._cuts.count * HEADER_SIZE
        return size * 8 * CLOCK // self.period

    def locate(self, number: int) -> tuple[int, int]:
        """Return the round and the index within it."""
        return divmod(number, self._cuts.count)

    def time_of(self, number: int) -> int:
        """Return when a datagram is due, 90 kHz after the very first one."""
        rounds, index = self.locate(number)
        return rounds * self.period + self._cuts.times[index]

    def due_by(self, time: int) -> int:
        """Return the number of the first datagram that is due later than `time` (not negative)."""
        rounds, rest = divmod(time, self.period)
        number = rounds * self._cuts.count + bisect_right(self._cuts.times, rest)
        return number if self.loop else min(number, self._cuts.count)

    def train_at(self, first: int, ssrc: int, limit: int = MAX_TRAIN_DATAGRAMS) -> Train:
        """Return the datagrams from number `first` on, at most `limit`, and as many as fit into one train.

        A keyframe's datagram begins a new train.
        """
        rounds, begin = self.locate(first)
        end, size = self._run(begin, min(limit, MAX_TRAIN_DATAGRAMS))
        packets = self._packets(rounds, begin, end)
        starts, times = self._cuts.starts, self._cuts.times
        due = self._origin + rounds * self.period
        buffer, at, taken = bytearray((end - begin) * (size + HEADER_SIZE)), 0, 0
        for index in range(begin, end):
            write_header(buffer, at, first + index - begin, due + times[index], ssrc)
            at += HEADER_SIZE
            length = (starts[index + 1] - starts[index]) * PACKET
            if length:
                buffer[at : at + length] = packets[taken : taken + length]
                taken += length
            else:
                length = PACKET
                buffer[at : at + PACKET] = NULL_PACKET
            at += length
        return Train(first, size + HEADER_SIZE, bytes(memoryview(buffer)[:at]))

    def payload(self, first: int, end: int) -> bytes:
        """Return what a receiver writes for the numbers `first` up to `end` (not included).

        For comparing a recording byte by byte with what was sent.
        """
        return b"".join(self._payloads(first, end))

    def find(self, head: bytes, rounds: int) -> int | None:
        """Return the number of the keyframe's datagram with which a recording begins, None if there is none.

        `head` are its first bytes (a datagram's or more), `rounds` how many to search.
        """
        keyframes = [index for index, keyframe in enumerate(self._cuts.keyframes) if keyframe]
        for base in range(0, rounds * self.datagrams, self.datagrams):
            for index in keyframes:
                if head.startswith(self.payload(base + index, base + index + 1)):
                    return base + index
        return None

    def hold(self) -> None:
        """Keep it open until one more `release`. For who knows that somebody holds it."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Need it no more; the last one closes it, and nothing may be asked afterwards."""
        with self._lock:
            self._holders -= 1
            is_last = self._holders == 0
        if is_last:
            self._close()

    def _close(self) -> None:
        self._cuts.close()
        self._mapping.close()
        touch(self._entry)
        self._described.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _payloads(self, number: int, end: int) -> Iterator[bytes]:
        while number < end:
            train = self.train_at(number, 0, end - number)
            yield from (bytes(datagram[HEADER_SIZE:]) for datagram in train.datagrams())
            number = train.next

    def _run(self, begin: int, limit: int) -> tuple[int, int]:
        """Find the end of the datagrams that fit into one train; give it and the payload's full size."""
        starts, keyframes = self._cuts.starts, self._cuts.keyframes
        last = min(begin + limit, self._cuts.count)
        full = starts[begin + 1] - starts[begin] or 1
        end = begin + 1
        size = full
        while end < last and size == full and not keyframes[end]:
            size = starts[end + 1] - starts[end] or 1
            if size > full:
                break
            end += 1
        return end, full * PACKET

    def _packets(self, rounds: int, begin: int, end: int) -> memoryview:
        """Return the packets of some datagrams as they are in that round."""
        # A copy: a view, which an exception's traceback may hold, would keep the mapping from being closed.
        packets = self._mapping[self._cuts.starts[begin] * PACKET : self._cuts.starts[end] * PACKET]
        if not rounds:
            return memoryview(packets)
        moved = bytearray(packets)
        counters = {pid: rounds * count for pid, count in self.description.counters.items()}
        shift(moved, rounds * self.period, counters)
        return memoryview(moved)

    def __repr__(self) -> str:
        return f"Prepared({self.datagrams} datagrams, {self.period / CLOCK:.3f} s, loop={self.loop})"


def _digest(description: Description, datagram_packets: int) -> bytes:
    """Name the row of datagrams: equal digests mean equal bytes, numbers and times."""
    parts = (CUTTING_VERSION, description.sha256, description.period, datagram_packets)
    return hashlib.sha256(f"mcast stream {parts}".encode()).digest()


@contextlib.contextmanager
def _whole(entry: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{entry}: damaged cache entry ({error}); remove the directory") from None
