"""What a node tells the bootstrapper of its streams, cut to what one frame can hold.

A stream's health is one TLV (65,535 bytes), all of them one frame (`wire.frame.MAX_BODY`). A node
may have 256 contents with 4,096 children each: then some of them are not told, which costs the
operator's view a few lines and the streams nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from mcast.wire.bootstrap import StreamHealth
from mcast.wire.identity import Identity

MAX_STREAMS = 64
"""Streams that are told."""
MAX_CHILDREN = 2000
"""Children that are told, of all streams together."""
MAX_STREAM_BYTES = 60_000
"""Bytes of one stream: less than a TLV holds."""
MAX_BYTES = 240_000
"""Bytes of all streams: less than a frame holds."""

_FIXED = 64  # more than position, counters and the TLVs' heads take
_IDENTITY = 5  # kind, length, and the head of its TLV


def bounded(streams: Iterable[StreamHealth]) -> tuple[StreamHealth, ...]:
    """Return what is told: the first streams, and of each the first children, that fit."""
    told: list[StreamHealth] = []
    children, room = MAX_CHILDREN, MAX_BYTES
    for stream in islice(streams, MAX_STREAMS):
        bare = _FIXED + len(stream.content.encode()) + _size(stream.path)
        if bare > min(MAX_STREAM_BYTES, room):
            break
        first = _first(stream.children, children, min(MAX_STREAM_BYTES, room) - bare)
        told.append(stream if len(first) == len(stream.children) else replace(stream, children=first))
        children, room = children - len(first), room - bare - _size(first)
    return tuple(told)


def _first(identities: tuple[Identity, ...], most: int, room: int) -> tuple[Identity, ...]:
    """Return the first ones that are not more than so many, nor than so many bytes."""
    for count, identity in enumerate(identities[:most]):
        room -= _size((identity,))
        if room < 0:
            return identities[:count]
    return identities[:most]


def _size(identities: Iterable[Identity]) -> int:
    return sum(len(identity.value) + _IDENTITY for identity in identities)
