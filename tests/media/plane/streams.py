"""Streams for tests: datagrams whose bytes tell their number, with keyframes where wanted."""

import socket
from collections.abc import Iterable, Sequence
from typing import cast

from mcast.media import forwarding
from mcast.media.children import Children
from mcast.media.history import History
from mcast.media.incoming import IncomingStream
from mcast.wire.mpegts import PACKET
from mcast.wire.rtp import CLOCK_RATE, HEADER_SIZE, RtpHeader
from mcast.wire.train import Train, make_trains

SSRC = 0x1234_5678
RATE = 1_000  # datagrams a second of media time
PACKETS = 7
SIZE = HEADER_SIZE + PACKETS * PACKET


def datagram(number: int, *, key: bool = False, packets: int = PACKETS, ssrc: int = SSRC) -> bytes:
    """Make one datagram; its payload depends on the number only."""
    header = RtpHeader(number & 0xFFFF, number * CLOCK_RATE // RATE & 0xFFFF_FFFF, ssrc).pack()
    first = b"\x47\x40\x00\x10" if key else b"\x47\x01\x00\x10"
    body = number.to_bytes(8, "big").ljust(PACKET - 4, b"\xff")
    return header + first + body + (b"\x47\x01\x00\x10" + body) * (packets - 1)


def stream(first: int, count: int, *, keys: Iterable[int] = (), short: Iterable[int] = ()) -> list[Train]:
    """Make consecutive datagrams; those of `keys` begin with a PAT, those of `short` hold one packet."""
    keys, short = set(keys), set(short)
    return make_trains(
        first,
        (
            datagram(number, key=number in keys, packets=1 if number in short else PACKETS)
            for number in range(first, first + count)
        ),
    )


def train(first: int, count: int, **options: Iterable[int]) -> Train:
    """Make one train."""
    (only,) = stream(first, count, **options)
    return only


def since(history: History, number: int, most: int) -> list[Train]:
    """Read up to `most` datagrams from the first one held at `number` or after it, in order."""
    found: list[Train] = []
    while most > 0 and (held := history.after(number, most)) is not None:
        found.append(held)
        number, most = held.next, most - held.count
    return found


def number_of(payload: bytes | memoryview) -> int:
    """Read the number back from a payload (without RTP header)."""
    return int.from_bytes(payload[4:12], "big")


def numbers_of(trains: Sequence[Train]) -> list[int]:
    """Read the numbers from the bytes, and check that the trains say the same."""
    found: list[int] = []
    for item in trains:
        inside = [number_of(datagram[HEADER_SIZE:]) for datagram in item.datagrams()]
        assert inside == list(range(item.first, item.next))
        found.extend(inside)
    return found


def push(children: Children, item: Train, now: float) -> None:
    """Keep a train and send it to the live children, as who has received or made it does."""
    forwarding.push(children, item, item.count, now)


def follow(stream: IncomingStream, data: bytes, size: int, now: float) -> Train | None:
    """Have a stream receive once; return what has taken the short way, None if nothing has."""
    handed_on: list[Train] = []
    way = forwarding.ShortWay(
        stream, lambda _: (data, size), lambda item, *_: handed_on.append(item), clock=lambda: now
    )
    other = way.forward(cast(socket.socket, None))
    assert (other is None) == bool(handed_on), "what is not handed on is returned"
    return handed_on[0] if handed_on else None
