"""What the bootstrapper knows of its nodes: which ones are up, and how they are.

Pure: times are handed in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mcast.wire.bootstrap import Health, StreamHealth


@dataclass(slots=True)
class NodeStatus:
    """One node that is up."""

    name: str
    instance: bytes  # of its process
    peer: str  # where it calls from
    since: float
    heard: float  # when it last gave a sign of life
    streams: dict[str, StreamHealth] = field(default_factory=dict)
    uptime_ms: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed about one content at one node: a sentence, and how it is now."""

    content: str
    text: str
    now: StreamHealth | None  # None: the node streams it no more


class Registry:
    """The table of the nodes that are up. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeStatus] = {}

    def join(self, name: str, instance: bytes, peer: str, now: float) -> NodeStatus | None:
        """Add a node; return what was known of it if it was up already."""
        before = self._nodes.get(name)
        self._nodes[name] = NodeStatus(name, instance, peer, now, now)
        if before is not None and before.instance == instance:
            # The same process on a new connection: its streams have not changed.
            self._nodes[name].streams = before.streams
        return before

    def leave(self, name: str) -> NodeStatus | None:
        """Remove a node; return what was known of it."""
        return self._nodes.pop(name, None)

    def heard(self, name: str, health: Health, now: float) -> list[Change]:
        """Take in a report; return what has changed, one for each content."""
        status = self._nodes.get(name)
        if status is None:
            return []
        before, after = status.streams, {stream.content: stream for stream in health.streams}
        status.streams, status.heard, status.uptime_ms = after, now, health.uptime_ms
        return list(_changes(name, before, after))

    def silent(self, now: float, longest: float) -> list[NodeStatus]:
        """Return the nodes that have said nothing for more than `longest` seconds."""
        return [status for status in self._nodes.values() if now - status.heard > longest]

    def snapshot(self) -> dict[str, NodeStatus]:
        """Return a copy of the table; its entries still change."""
        return dict(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)


def _changes(name: str, before: dict[str, StreamHealth], after: dict[str, StreamHealth]) -> Iterator[Change]:
    for content, stream in after.items():
        old = before.get(content)
        parts = [_attached(stream)] if old is None else list(_differences(old, stream))
        if parts:
            yield Change(content, f"{name} {'; it '.join(parts)}", stream)
    for content in before:
        if content not in after:
            yield Change(content, f"{name} pruned", None)


def _attached(stream: StreamHealth) -> str:
    return f"attached{_below(stream)}, {_children(stream)}"


def _differences(old: StreamHealth, new: StreamHealth) -> Iterator[str]:
    """Yield the differences that an operator would ask about; numbers that have moved on are none."""
    if _below(old) != _below(new):
        yield f"moved: it is{_below(new)} now, it was{_below(old)}"
    if old.fed != new.fed:
        yield "is fed again" if new.fed else "is cut off"
    if len(old.children) != len(new.children):
        yield f"has {_children(new)} now, it had {len(old.children)}"


def _below(stream: StreamHealth) -> str:
    """Return the parent in words: the last but one of the path, which ends with the node itself."""
    return f" below {stream.path[-2]}" if len(stream.path) > 1 else " as the root"


def _children(stream: StreamHealth) -> str:
    count = len(stream.children)
    return f"{count} child" if count == 1 else f"{count} children"
