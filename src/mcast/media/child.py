"""One child of a content, as its parent sees it.

    WAITING      admitted; its hello has not come yet, or does not name the stream's SSRC yet
    CATCHING_UP  fed from the history from `cursor` on, paced, by the feedback thread
    LIVE         fed with every train at once, by the thread that pushes
    GONE         dismissed, or its lease is over; its socket is closed soon

    WAITING -hello-> CATCHING_UP -cursor reaches the head-> LIVE -its socket is full-> CATCHING_UP

Three owners, and each field has one:

    the lock       who the child is to whom: its state, where it is fed from, its socket. Changed by
                   either thread, only with the lock of `Children` held
    the feeder     what goes on with each train: cursor, and what has been sent. The pusher while the
                   child is LIVE, the feedback thread while it is CATCHING_UP, nobody else. The
                   child changes hands with its state, under the lock
    the feedback   what it has said: lease, address, report, repairs
    thread

Numbers may be read from anywhere: they are then as they were a moment ago.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from mcast.media.history import History
from mcast.media.plain_report import PlainReports
from mcast.media.round_trip import RoundTrip
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import IPAddress, SockAddr
from mcast.net.udp import DATAGRAM_COST, TrainSender
from mcast.overlay.actions import ConnectionId
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import ReportBlock
from mcast.wire.train import Train

CATCH_UP_BURST = 64
"""Datagrams sent at once to a child that joins: a keyframe, and fewer than a default receive buffer holds."""
MIN_BURST = 8
MAX_LATE = 256
"""Trains that arrived late and wait for a child that is catching up; beyond, they are dropped and counted."""
MAX_LAG_SECONDS = 6.0
"""A child that fell behind by more goes on at the newest keyframe: less than a history's 8 s."""
KEYFRAME_WAIT_SECONDS = 12.0
"""How long a child waits for a keyframe before it begins without: x264's default GOP is 10 s at 25 fps."""
MAX_REPORTS = 300
"""Packets a second that are read of one child, and as many at once: it sends a NACK every 5 ms at most, if it
loses something all the time. Beyond, they are counted alone."""
MAX_AHEAD = 32_768
"""Half of 2**16: a child that claims to be further than this is taken as new."""


class ChildState(Enum):
    """What a child gets, and from which thread."""

    WAITING = auto()
    CATCHING_UP = auto()
    LIVE = auto()
    GONE = auto()


class ChildLost(Enum):
    """How a child has left without being dismissed."""

    LEASE = "lease"  # nothing was heard of it
    BYE = "bye"  # its receiver has said so
    UNSENDABLE = "unsendable"  # what it is to be told cannot be encoded
    NO_SOCKET = "no_socket"  # there are no descriptors left

    @property
    def text(self) -> str:
        """Return what it is told."""
        match self:
            case ChildLost.UNSENDABLE:
                return "what you are to be told cannot be encoded"
            case ChildLost.NO_SOCKET:
                return "no socket is left for you"
        return "nothing was heard of you"


OnLost: TypeAlias = Callable[[ConnectionId, ChildLost], None]
OnCaughtUp: TypeAlias = Callable[[ConnectionId], None]
"""Told once of each child that came to resume, when it gets the stream as it comes."""


Stand: TypeAlias = tuple[int, int, int]
"""How far the pushing of a stream has come: the next number, datagrams, bytes. They belong together."""


class Front:
    """Where all live children of a content are: a train costs the same bookkeeping for few and many.

    The pusher sets `promised`, with the lock held, to what it is when the present train has been sent, and
    `done` to the same when it has.
    """

    __slots__ = ("done", "promised")

    def __init__(self, next_number: int) -> None:
        self.done: Stand = (next_number, 0, 0)
        self.promised = self.done


class Repairs:
    """What a child may ask for again, and what it got. Made when it first asks."""

    __slots__ = ("datagrams", "questions", "sent")

    def __init__(self, datagrams: TokenBucket, questions: TokenBucket) -> None:
        self.datagrams = datagrams
        self.questions = questions  # numbers that it asks for
        self.sent: dict[int, float] = {}  # number: when it was sent again last


@dataclass(slots=True, eq=False)
class Child:
    """A subscription's media side. A node has thousands: what few of them need is made when they do."""

    # Fixed at the admission
    key: ConnectionId  # the control connection on which it has subscribed
    identity: str
    token: bytes
    local_ip: IPAddress
    peer_ip: IPAddress  # from the control connection: nothing is sent anywhere else
    start: Start
    resume: Position | None

    # The feedback thread's
    lease_until: float
    pace: TokenBucket  # datagrams
    reports: TokenBucket = field(
        default_factory=lambda: TokenBucket(MAX_REPORTS, MAX_REPORTS, 0.0)
    )  # packets
    address: SockAddr | None = None
    moves: int = 0
    next_report: float = 0.0
    report: ReportBlock | None = None
    plain: PlainReports | None = None
    reference: tuple[int, int, float] | None = None  # its SSRC and time (middle32), and when that came
    answered: bool = False  # it has been told so
    round_trip: RoundTrip = field(default_factory=RoundTrip)
    beside: bool = False  # another parent delivers to it, too
    delay_us: int = 0  # from the server to it, by its own word; 0: not known
    refused_to: int = 0  # its socket was full while it was catching up, with what lies below this number
    fed_at: float = 0.0  # when something was sent to it while it was catching up
    asked_at: float = float("-inf")  # when it has last asked for something
    reached_at: float = float("-inf")  # when it has last made this node ask for something older
    repairs: "Repairs | None" = None  # since it has asked
    resent: int = 0
    unrepaired: int = 0

    # The lock's
    state: ChildState = ChildState.WAITING
    sender: TrainSender | None = None
    common: socket.socket | None = None  # unconnected, at the address and port of its own one
    floor: int = 0  # nothing below is sent: where it began, or older what it has asked for
    keyframe_by: float | None = None  # waits for a keyframe at `cursor` or later, until this time
    began_live: bool = False
    late: tuple[Train, ...] = ()
    stalls: int = 0
    skipped: int = 0

    front: Front | None = None  # while it is live: it is where all live children are
    alone_until: float = 0.0  # it is sent to by its own socket, not by the common one

    # The feeder's. Of a live child it is what the front has not counted
    _cursor: int = 0
    _datagrams: int = 0
    _bytes: int = 0

    @property
    def cursor(self) -> int:
        """Return the next number to send."""
        front = self.front
        return self._cursor if front is None else front.done[0]

    @cursor.setter
    def cursor(self, number: int) -> None:
        self._cursor = number

    @property
    def datagrams(self) -> int:
        """Return how many datagrams have been sent, those of the repairs not counted."""
        front = self.front
        return self._datagrams if front is None else self._datagrams + front.done[1]

    @property
    def bytes(self) -> int:
        """Return how many bytes these were."""
        front = self.front
        return self._bytes if front is None else self._bytes + front.done[2]

    def join(self, front: Front) -> None:
        """Be fed with all others from the head on. With the lock held."""
        _, datagrams, octets = front.promised
        self._datagrams -= datagrams
        self._bytes -= octets
        self.front = front

    def part(self, next_number: int | None = None) -> None:
        """Be fed alone from now on: from a number, or from where the front is. With the lock held."""
        if self.front is None:
            return
        (head, datagrams, octets), self.front = self.front.done, None
        self._cursor = head if next_number is None else next_number
        self._datagrams += datagrams
        self._bytes += octets

    def hears_nothing(self, now: float, quiet: float) -> bool:
        """Return whether it gets no media just now, though there is some. The feedback thread's."""
        if self.state is ChildState.CATCHING_UP:
            return now - self.fed_at > quiet
        return self.waits_for_keyframe

    @property
    def waits_for_keyframe(self) -> bool:
        """Return whether it gets nothing before the next keyframe."""
        return self.keyframe_by is not None

    def sent(self, count: int, size: int) -> None:
        """Count what has left, or, below zero, what has not though the front counts it. The feeder's."""
        self._datagrams += count
        self._bytes += size

    # Where it is fed from. With the lock held, by the feedback thread

    def place(self, history: History, now: float) -> None:
        """Choose where it begins."""
        resume = self.resume
        empty = history.tail == history.head
        if resume is not None and (empty or history.oldest <= resume.next <= history.head + MAX_AHEAD):
            self.cursor = self.floor = resume.next
        elif resume is not None and resume.next < history.oldest:
            self.cursor, self.floor = history.oldest, resume.next  # what lies between may still come
            self.skipped += history.oldest - resume.next
        elif self.start is Start.KEYFRAME and history.last_keyframe is not None:
            self.cursor = self.floor = history.last_keyframe
        else:
            # At the start of a stream its first keyframe is as good as the last.
            self.cursor = history.head if self.start is Start.LIVE else 0
            self.keyframe_by = now + KEYFRAME_WAIT_SECONDS

    def has_begun(self, history: History, now: float) -> bool:
        """Return whether it may be fed; put it at its keyframe as soon as that has come."""
        if self.keyframe_by is None:
            return True
        keyframe = history.keyframe_from(self.cursor)
        if keyframe is None:
            if now < self.keyframe_by:
                return False
            keyframe = history.head
        self.cursor = self.floor = keyframe
        self.keyframe_by = None
        return True

    def skip(self, history: History) -> int:
        """Leave out what the history has lost, or what it will never make up for; return how much."""
        before = self.cursor
        if before >= history.oldest and not (self.began_live and history.lag(before) > MAX_LAG_SECONDS):
            return 0
        keyframe = history.last_keyframe if self.datagrams else None  # who resumes wants all there is
        ahead = keyframe is not None and keyframe > before
        self.cursor = keyframe if keyframe is not None and ahead else max(before, history.oldest)
        self.skipped += self.cursor - before
        return self.cursor - before

    # What becomes of it

    def has_all(self, last: int, history: History, quiet_since: float) -> bool:
        """Return whether it has everything up to the number `last`, by its own report.

        What it has lost may still come as long as it asks for it: `quiet_since` is the time from which
        on it must not have. With the lock held.
        """
        if self.state is ChildState.WAITING or self.late:
            return False
        if self.waits_for_keyframe:  # if there is none, it gets nothing of this stream
            return history.head > last and history.keyframe_from(self.cursor) is None
        if self.floor > last:
            return True
        report = self.report
        if self.cursor <= last or report is None:
            return False
        ahead = (report.highest_sequence - last) & 0xFFFF_FFFF  # it carries 32 of the 64 bits
        if ahead >= 0x8000_0000 or (ahead and not report.highest_sequence):  # 0: nothing has come
            return False
        return report.cumulative_lost <= 0 or self.asked_at <= quiet_since

    def snapshot(self) -> "ChildSnapshot":
        """Describe it for status lines and reports."""
        report, round_trip = self.report, self.round_trip.smoothed
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
            round_trip_ms=None if round_trip is None else round_trip * 1000,
            delay_us=self.delay_us,
        )


@dataclass(frozen=True, slots=True)
class ChildSnapshot:
    """How a child is, at one moment."""

    key: ConnectionId
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
    delay_us: int  # from the server to it, as it reports; 0: not known


def first_burst(buffer_bytes: int) -> int:
    """Return how many datagrams a child may get at once, by the receive buffer it names (0: unknown)."""
    if not buffer_bytes:
        return CATCH_UP_BURST
    return max(MIN_BURST, min(CATCH_UP_BURST, buffer_bytes // DATAGRAM_COST))
