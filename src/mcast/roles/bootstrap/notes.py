"""What the bootstrapper says in its log of who comes, and of what nodes report."""

import logging

from mcast import eventlog
from mcast.hostport import HostPort
from mcast.monitoring.registry import Change, NodeStatus
from mcast.wire.endpoint import Endpoint

logger = logging.getLogger(__name__)


def note_arrival(name: str, peer: Endpoint, instance: bytes, before: NodeStatus | None) -> None:
    """Say that a node is up; `before` is what was known under its name."""
    if before is None:
        eventlog.note(
            logger, "node_registered", "%s is up", name, extra={"peer": peer}, node=name, address=peer
        )
    elif before.instance == instance:
        logger.debug("= %s has come back on a new connection", name, extra={"peer": peer})
    else:
        eventlog.note(
            logger, "node_replaced", "another process is %s now, it was the one at %s", name, before.peer,
            level=logging.WARNING, extra={"peer": peer}, node=name, address=peer, before=before.peer,
        )  # fmt: skip


def note_elsewhere(name: str, address: HostPort) -> None:
    """Say that a node of the file is at another address than the file says."""
    eventlog.note(
        logger, "node_elsewhere", "%s is not where the file says: its neighbours reach it at %s",
        name, address, node=name, address=address,
    )  # fmt: skip


def note_change(name: str, change: Change) -> None:
    """Say what has changed about one content at a node."""
    stream = change.now
    if stream is None:
        eventlog.note(logger, "node_pruned", "%s", change.text, content=change.content, node=name)
        return
    eventlog.note(
        logger, "node_streams", "%s", change.text,
        content=change.content, node=name, path=stream.path, children=stream.children, fed=stream.fed,
    )  # fmt: skip
