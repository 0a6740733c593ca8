"""What a child's reports say of what one parent has sent: losses and jitter (RFC 3550, 6.4.1, A.3 and A.8).

Unlike A.3 a duplicate does not make up for a loss: each number counts once. Pure.
"""

from mcast.wire.rtcp import ReportBlock, middle32
from mcast.wire.rtp import CLOCK_RATE

_DELAY_UNITS = 65_536  # a second, in a block
_MAX_CUMULATIVE = (1 << 23) - 1  # 24 bits, signed (A.3)


class ReportBlocks:
    """One parent's, one after another. Not thread-safe: the receiver's thread owns it."""

    __slots__ = ("_jitter", "_reported", "_ssrc", "_transit", "last_report")

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._reported = (0, 0)  # expected and received at the last block
        self._jitter = 0.0  # A.8, in ticks of 90 kHz
        self._transit: int | None = None
        self.last_report: tuple[int, float] | None = None
        """The NTP time of the parent's last SR, and the monotonic seconds at which it came."""

    @property
    def jitter_ms(self) -> float:
        """Return how unevenly it has come lately. From any thread."""
        return self._jitter * 1000 / CLOCK_RATE

    def note_arrival(self, timestamp: int, now: float) -> None:
        """Take in an RTP timestamp and when it came, for the jitter; once a train is enough."""
        transit = int(now * CLOCK_RATE) - timestamp
        if self._transit is not None:
            difference = (transit - self._transit + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
            self._jitter += (abs(difference) - self._jitter) / 16
        self._transit = transit

    def next(self, expected: int, received: int, next_number: int, now: float) -> ReportBlock:
        """Build a block and begin a new interval.

        So many numbers have been `expected` and `received` from it so far; `next_number` follows the highest.
        """
        interval, lost_now = expected - self._reported[0], 0
        if interval > 0:
            lost_now = max(0, interval - (received - self._reported[1]))
            lost_now = (lost_now << 8) // interval
        self._reported = (expected, received)
        last = self.last_report
        # A clock may go back: what is told is bounded at both ends.
        delay = 0 if last is None else int((now - last[1]) * _DELAY_UNITS)
        return ReportBlock(
            ssrc=self._ssrc,
            fraction_lost=min(lost_now, 255),
            cumulative_lost=max(-_MAX_CUMULATIVE, min(expected - received, _MAX_CUMULATIVE)),
            highest_sequence=(next_number - 1) & 0xFFFF_FFFF if expected else 0,
            jitter=max(0, min(int(self._jitter), 0xFFFF_FFFF)),
            last_sr=0 if last is None else middle32(last[0]),
            delay_since_sr=max(0, min(delay, 0xFFFF_FFFF)),
        )
