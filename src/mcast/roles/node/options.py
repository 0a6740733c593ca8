"""What the operator says of a node, by the options of `mcast-node` (docs/operations.md)."""

from dataclasses import dataclass
from pathlib import Path

from mcast.media.forwarder import FORWARD_THREADS
from mcast.overlay.events import Limited

UNLIMITED = Limited()
MAX_WORKERS = 64
"""Of a node: beyond any machine that one would make a single node of; each takes some 25 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """How a node does what it does."""

    takes_clients: bool = True  # neighbours may name it to their clients, for when they fail themselves
    parents: int | None = None  # of each content; None: as many as the layout says
    forward_threads: int = FORWARD_THREADS  # the most of a process that carry contents
    workers: int = 1  # processes that carry contents; 1: the node's own, alone
    limits: Limited = UNLIMITED  # of what it may do for all its children together
    gather: float = 0.0  # seconds for which each train may be held, to be sent on with others
    trace_file: Path | None = None  # each decision is written there


DEFAULT_OPTIONS = NodeOptions()
