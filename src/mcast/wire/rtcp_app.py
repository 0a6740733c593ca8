"""mcast's own RTCP messages: APP packets of the name MCST (docs/protocol.md, "RTCP").

subtype 0  TOKEN   child to parent: the subscription's token. It proves a hello, a report, a BYE
subtype 1  STATE   parent to child: fed, cut off since when, or waiting for the server
subtype 2  BESIDE  child to parent: another parent delivers the stream, too; there is no hurry
subtype 3  DELAY   child to parent: how long media takes from the server to the child
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from mcast.errors import WireError
from mcast.wire.position import accepted_number, checked_number
from mcast.wire.rtcp_packets import App, Packet

APP_NAME = b"MCST"
TOKEN_SIZE = 16
TOKEN, STATE, BESIDE, DELAY = 0, 1, 2, 3  # subtypes
NEXT_UNKNOWN = (1 << 64) - 1
"""A STATE's `next` while the parent does not know yet where this child begins."""


class FeedState(IntEnum):
    """How the parent itself is fed.

    A state that only a newer version knows is read as FED: whether it is fed, its media shows.
    """

    FED = 0
    CUT = 1
    WAITING = 2  # for the server: the stream has not begun, or goes on soon


_STATES = frozenset(FeedState)
_NO_WAY = 0x01  # a flag
_DELAY = struct.Struct("!i")


@dataclass(frozen=True, slots=True)
class Origin:
    """The server's clock: when media of this RTP time has left it. Relays hand it on as it came."""

    ntp: int  # 64 bits, 32.32 fixed point; never 0
    rtp: int

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!QI")

    def pack(self) -> bytes:
        """Return its bytes. Raises ValueError if a field does not fit."""
        try:
            return self.LAYOUT.pack(self.ntp, self.rtp)
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from None

    @classmethod
    def find(cls, data: bytes, at: int) -> Self | None:
        """Return what is there, None if nothing is: an older version has written that."""
        if len(data) < at + cls.LAYOUT.size:
            return None
        ntp, rtp = cls.LAYOUT.unpack_from(data, at)
        return cls(ntp, rtp) if ntp else None


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """What a parent reports of its own supply, with each SR."""

    state: FeedState
    cut_ms: int  # milliseconds since the cut, 0 while fed
    next: int  # the number of the datagram that this child is sent next, or NEXT_UNKNOWN
    no_way: bool = False  # cut off, and it has found no other parent: the child is to look for itself
    origin: Origin | None = None  # not known: the stream has not begun, or an older version is on the way

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!BB2xIQ")

    def pack(self) -> bytes:
        """Return the APP packet's data. Raises ValueError if a field does not fit."""
        if self.next != NEXT_UNKNOWN:
            checked_number(self.next)
        try:
            told = self.LAYOUT.pack(self.state, _NO_WAY * self.no_way, self.cut_ms, self.next)
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from None
        return told if self.origin is None else told + self.origin.pack()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a STATE's data. What a newer version has added behind it is skipped. Raises WireError."""
        if len(data) < cls.LAYOUT.size:
            raise WireError(f"APP state has {len(data)} bytes, expected {cls.LAYOUT.size}")
        state, flags, cut_ms, number = cls.LAYOUT.unpack_from(data)
        known = FeedState(state) if state in _STATES else FeedState.FED
        number = number if number == NEXT_UNKNOWN else accepted_number(number)
        return cls(known, cut_ms, number, bool(flags & _NO_WAY), Origin.find(data, cls.LAYOUT.size))


def token_app(ssrc: int, token: bytes) -> App:
    """Build the child's proof. Raises ValueError unless the token has 16 bytes."""
    if len(token) != TOKEN_SIZE:
        raise ValueError(f"a token has {TOKEN_SIZE} bytes, not {len(token)}")
    return App(ssrc, TOKEN, APP_NAME, token)


def state_app(ssrc: int, state: UpstreamState) -> App:
    return App(ssrc, STATE, APP_NAME, state.pack())


def beside_app(ssrc: int) -> App:
    """Build the child's word that it has another parent that delivers."""
    return App(ssrc, BESIDE, APP_NAME, b"")


def delay_app(ssrc: int, delay_us: int) -> App:
    """Build the child's word how many microseconds media takes to it. Raises ValueError."""
    try:
        return App(ssrc, DELAY, APP_NAME, _DELAY.pack(delay_us))
    except struct.error as error:
        raise ValueError(f"a delay of {delay_us} us: {error}") from None


def read_delay(packets: Iterable[Packet]) -> int:
    """Return the microseconds that media takes to a child, 0 if it does not tell. Raises WireError."""
    data = _find(packets, DELAY)
    if data is None:
        return 0
    if len(data) < _DELAY.size:
        raise WireError(f"APP delay has {len(data)} bytes, expected {_DELAY.size}")
    delay_us: int = _DELAY.unpack_from(data)[0]
    return delay_us


def says_beside(packets: Iterable[Packet]) -> bool:
    """Return whether a child has another parent that delivers."""
    return _find(packets, BESIDE) is not None


def read_token(packets: Iterable[Packet]) -> bytes | None:
    """Return the token of a compound, None without one. Raises WireError if it is no token."""
    data = _find(packets, TOKEN)
    if data is not None and len(data) != TOKEN_SIZE:
        raise WireError(f"APP token has {len(data)} bytes, expected {TOKEN_SIZE}")
    return data


def read_state(packets: Iterable[Packet]) -> UpstreamState | None:
    """Return the parent's state of a compound, None without one. Raises WireError if it is none."""
    data = _find(packets, STATE)
    return None if data is None else UpstreamState.unpack(data)


def _find(packets: Iterable[Packet], subtype: int) -> bytes | None:
    """Return the data of mcast's first APP of this subtype."""
    for packet in packets:
        if isinstance(packet, App) and packet.name == APP_NAME and packet.subtype == subtype:
            return packet.data
    return None
