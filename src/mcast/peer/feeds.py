"""What the media plane sees of a parent, as an event for the decisions."""

from mcast.media.parent import ParentEvent
from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import Event, Feed, FeedChanged, Outdone

OUTDONE = "OUTDONE"


def event_of(upstream: UpstreamId, seen: ParentEvent) -> Event:
    """Return the event that a parent's new state is."""
    if seen.kind.name == OUTDONE:
        return Outdone(upstream)
    return FeedChanged(upstream, Feed[seen.kind.name], seen.cut_ms)
