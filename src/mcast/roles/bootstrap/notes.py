"""What the bootstrapper says in its log of what nodes report."""

import logging

from mcast import eventlog
from mcast.monitoring.registry import Change

logger = logging.getLogger(__name__)


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
