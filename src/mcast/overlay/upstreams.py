"""What is told of one subscription at a parent, handed to the branch that it is for."""

from collections.abc import Callable

from mcast.overlay.actions import Action, UpstreamId
from mcast.overlay.better import Quality
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import BranchData
from mcast.overlay.events import (
    Accepted,
    ControlSilent,
    FeedChanged,
    HopMeasured,
    Outdone,
    ParentLost,
    Refused,
    Stopped,
    UpstreamEvent,
)
from mcast.wire.node import StopReason


def take_in(
    branch: Branch,
    event: UpstreamEvent,
    quality: Callable[[BranchData, UpstreamId], Quality | None],
    now: float,
) -> list[Action]:
    """Tell the branch; `quality` tells how the path by way of one of its parents is."""
    match event:
        case Accepted(upstream, port):
            return branch.on_port(upstream, port, now)
        case Refused(upstream, reason, text, retry_ms):
            return branch.on_refused(upstream, reason, text, now, retry_ms=retry_ms)
        case Stopped(upstream, StopReason.END, int() as last, text):
            return branch.on_over(upstream, last, text, now)
        case Stopped(upstream, stop, _, text):
            return branch.on_lost(upstream, stop, text, now)
        case ParentLost(upstream, text):
            return branch.on_lost(upstream, StopReason.CUT, text, now)
        case ControlSilent(upstream):
            return branch.on_control_silent(upstream, now)
        case FeedChanged(upstream, feed, _, quiet_ms):
            return branch.on_feed(upstream, feed, now, quiet_ms)
        case Outdone(upstream):
            return branch.on_outdone(upstream, now, quality)
        case HopMeasured(upstream, delay_ms, lost_permille):
            branch.upstreams[upstream].hop = Quality(delay_ms, lost_permille)
            return []
