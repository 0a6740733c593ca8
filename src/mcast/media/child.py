"""One child of a content, as its parent sees it.

    WAITING      admitted; its hello has not come yet, or does not name the stream's SSRC yet
    CATCHING_UP  fed from the history from `cursor` on, paced, by the feedback reader's thread
    LIVE         fed with every train at once, by the thread that pushes
    GONE         dismissed, or its lease is over; its socket is closed soon

    WAITING -hello-> CATCHING_UP -cursor reaches the head-> LIVE -its socket is full-> CATCHING_UP

In each state exactly one thread sends media to it. All fields but the counters are changed only
with the fanout's lock held.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum, auto

from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import IPAddress, SockAddr
from mcast.net.udp import DATAGRAM_COST, TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import ReportBlock
from mcast.wire.train import Train

LEASE_SECONDS = 2.5
"""Without valid RTCP for so long a child is gone: a dozen lost reports at the 200 ms of a lossy link."""
FIRST_HELLO_SECONDS = 5.0
"""How long the first hello may take: PORT travels by TCP, which repairs a loss in seconds. Costs nothing."""
CATCH_UP_BURST = 64
"""Datagrams sent at once to a child that joins: a keyframe, and fewer than a default receive buffer holds."""
MIN_BURST = 8
MAX_LATE = 256
"""Trains that arrived late and wait for a child that is catching up; beyond, they are dropped and counted."""
MAX_REPAIRED = 4_096
"""Numbers remembered as repaired."""


class ChildState(Enum):
    """What a child gets, and from which thread."""

    WAITING = auto()
    CATCHING_UP = auto()
    LIVE = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class Child:
    """A subscription's media side."""

    key: Hashable
    identity: str
    token: bytes
    local_ip: IPAddress
    peer_ip: IPAddress  # from the control connection: nothing is sent anywhere else
    start: Start
    resume: Position | None
    lease_until: float
    pace: TokenBucket  # datagrams
    repairs: TokenBucket  # datagrams

    state: ChildState = ChildState.WAITING
    sender: TrainSender | None = None
    address: SockAddr | None = None
    cursor: int = 0  # the next number to send
    floor: int = 0  # where it began: nothing below is sent
    keyframe_by: float | None = None  # waits for a keyframe at `cursor` or later, until this time
    began_live: bool = False
    late: list[Train] = field(default_factory=list)
    repaired: dict[int, float] = field(default_factory=dict)
    next_report: float = 0.0

    datagrams: int = 0
    bytes: int = 0
    stalls: int = 0
    skipped: int = 0
    resent: int = 0
    unrepaired: int = 0
    moves: int = 0
    report: ReportBlock | None = None
    round_trip: float | None = None  # seconds

    @property
    def waits_for_keyframe(self) -> bool:
        """Tell whether it gets nothing before the next keyframe."""
        return self.keyframe_by is not None

    def sent(self, count: int, size: int) -> None:
        """Count what has left."""
        self.datagrams += count
        self.bytes += size

    def snapshot(self) -> "ChildSnapshot":
        """Describe the child for status lines and reports."""
        report = self.report
        return ChildSnapshot(
            key=self.key,
            identity=self.identity,
            state=self.state,
            address=self.address,
            cursor=self.cursor,
            datagrams=self.datagrams,
            bytes=self.bytes,
            stalls=self.stalls,
            skipped=self.skipped,
            resent=self.resent,
            unrepaired=self.unrepaired,
            moves=self.moves,
            lost=report.cumulative_lost if report else 0,
            fraction_lost=report.fraction_lost / 256 if report else 0.0,
            jitter_ms=report.jitter / 90 if report else 0.0,
            round_trip_ms=None if self.round_trip is None else self.round_trip * 1000,
        )


@dataclass(frozen=True, slots=True)
class ChildSnapshot:
    """How a child is, at one moment."""

    key: Hashable
    identity: str
    state: ChildState
    address: SockAddr | None
    cursor: int
    datagrams: int
    bytes: int
    stalls: int  # its socket was full: back to catching up
    skipped: int  # datagrams it was too late for
    resent: int
    unrepaired: int  # asked for, but not held or beyond the rate
    moves: int  # it called from another port
    lost: int  # as it reports
    fraction_lost: float
    jitter_ms: float
    round_trip_ms: float | None


def first_burst(buffer_bytes: int) -> int:
    """Return how many datagrams a child may get at once, by the receive buffer it names (0: unknown)."""
    if not buffer_bytes:
        return CATCH_UP_BURST
    return max(MIN_BURST, min(CATCH_UP_BURST, buffer_bytes // DATAGRAM_COST))
