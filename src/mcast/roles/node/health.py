"""What a node tells the bootstrapper of its streams: once a second, and at once when a tree has changed.

A report is cut to what one frame can hold. A stream's health is one TLV (65,535 bytes), all of them
one frame (`wire.frame.MAX_BODY`). A node may have 256 contents with 4,096 children each: then some of
them are not told, which costs the operator's view a few lines and the streams nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeAlias

from mcast.net.ratelimit import RateLimitedLog
from mcast.overlay.actions import ConnectionId, Path
from mcast.roles.node.relays import RelayDb
from mcast.wire.bootstrap import Health, StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.node import Stream

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two reports while nothing changes."""
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


class Branch(Protocol):
    """What the report needs to know of a content's place in the tree."""

    @property
    def path(self) -> Path:
        """The way from the rendezvous point to this node, both included."""

    @property
    def children(self) -> Mapping[ConnectionId, Stream]:
        """Those who are fed from here, with what they asked for."""

    @property
    def fed(self) -> bool:
        """Whether media reaches this node."""


Branches: TypeAlias = Callable[[], Mapping[str, Branch]]
"""Return the contents that this node takes part in; asked in the decider's thread."""


class HealthReporter:
    """Reports from time to time. For the decider's thread."""

    def __init__(
        self, branches: Branches, beyond: Callable[[], tuple[str, ...]], relays: RelayDb,
        send: Callable[[Health], None],
    ) -> None:  # fmt: skip
        """`beyond` returns the parents that the layout does not link with this node. `send` must not wait."""
        self._branches, self._beyond, self._relays, self._send = branches, beyond, relays, send
        self._log = RateLimitedLog(logger)
        self._began, self._next = time.monotonic(), 0.0

    def on_tree_change(self) -> None:
        """Report at the next tick."""
        self._next = 0.0

    def on_tick(self, now: float) -> None:
        """Report if it is time to."""
        if now < self._next:
            return
        self._next = now + INTERVAL
        streams = tuple(self._streams())
        told = bounded(streams)
        if told != streams:
            self._log.info("health_cut", "not all streams and children fit the report to the bootstrapper")
        self._send(Health(round((now - self._began) * 1000), told, self._beyond()))

    def _streams(self) -> Iterable[StreamHealth]:
        for content, branch in self._branches().items():
            if (relay := self._relays.get(content)) is not None:
                children = tuple(stream.sender for stream in branch.children.values())
                yield StreamHealth(
                    content, branch.path, children, relay.position, relay.counters().lost, branch.fed
                )


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
