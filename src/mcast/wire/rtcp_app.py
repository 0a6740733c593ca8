"""mcast's own RTCP messages: APP packets of the name MCST (docs/protocol.md, "RTCP").

subtype 0  TOKEN   child to parent: the subscription's token. It proves a hello, a report, a BYE
subtype 1  STATE   parent to child: fed, cut off since when, or waiting for the server
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from mcast.errors import WireError
from mcast.wire.rtcp_packets import App, Packet

APP_NAME = b"MCST"
TOKEN_SIZE = 16
TOKEN, STATE = 0, 1  # subtypes
NEXT_UNKNOWN = (1 << 64) - 1
"""A STATE's `next` while the parent does not know yet where the child begins."""


class FeedState(IntEnum):
    """How the parent itself is fed."""

    FED = 0
    CUT = 1
    WAITING = 2  # for the server: the stream has not begun, or goes on soon


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """What a parent says of its own supply, each time it sends an SR."""

    state: FeedState
    cut_ms: int  # milliseconds since the cut, 0 while fed
    next: int  # the number that this child is sent next (64 bits), or NEXT_UNKNOWN

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!B3xIQ")

    def pack(self) -> bytes:
        try:
            return self.LAYOUT.pack(self.state, self.cut_ms, self.next)
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from None

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a STATE's data; a longer one comes from a newer mcast, its rest is skipped."""
        if len(data) < cls.LAYOUT.size:
            raise WireError(f"APP state has {len(data)} bytes, expected {cls.LAYOUT.size}")
        state, cut_ms, number = cls.LAYOUT.unpack_from(data)
        try:
            return cls(FeedState(state), cut_ms, number)
        except ValueError:
            raise WireError(f"unknown FeedState {state}") from None


def token_app(ssrc: int, token: bytes) -> App:
    """Build the child's proof. Raises ValueError unless the token has 16 bytes."""
    if len(token) != TOKEN_SIZE:
        raise ValueError(f"a token has {TOKEN_SIZE} bytes, not {len(token)}")
    return App(ssrc, TOKEN, APP_NAME, token)


def state_app(ssrc: int, state: UpstreamState) -> App:
    return App(ssrc, STATE, APP_NAME, state.pack())


def read_token(packets: Iterable[Packet]) -> bytes | None:
    """Give the token of a compound, None without one. Raises WireError if it is no token."""
    data = _find(packets, TOKEN)
    if data is not None and len(data) != TOKEN_SIZE:
        raise WireError(f"APP token has {len(data)} bytes, expected {TOKEN_SIZE}")
    return data


def read_state(packets: Iterable[Packet]) -> UpstreamState | None:
    """Give the parent's state of a compound, None without one. Raises WireError if it is none."""
    data = _find(packets, STATE)
    return None if data is None else UpstreamState.unpack(data)


def _find(packets: Iterable[Packet], subtype: int) -> bytes | None:
    """Find the data of mcast's first APP of this subtype."""
    for packet in packets:
        if isinstance(packet, App) and packet.name == APP_NAME and packet.subtype == subtype:
            return packet.data
    return None
