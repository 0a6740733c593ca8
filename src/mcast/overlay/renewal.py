"""A subscription whose control connection has fallen silent, while its media comes: how it is renewed.

Media says better than TCP whether a parent lives, so silence ends nothing. But on a dead connection no PORT
and no STOP arrives. So the same parent is asked again, on a new connection and from the lowest number on that
is still wanted, *beside* the running media: a second upstream like any other. When both feed (DOUBLED) the
new one takes the old one's place. The parent sees that the same child has come again, and ends the old one.

An attempt that fails costs nothing: the media goes on, and the next one comes later.
"""

from mcast.overlay.actions import Action, Announce, Parent
from mcast.overlay.attempts import Renewal
from mcast.overlay.branch_data import BranchData

RENEW_SECONDS = 5.0
"""Until the parent must have answered: more than a TCP connect at 25 % loss."""
FIRST_WAIT, LAST_WAIT = 1.0, 30.0
"""Seconds from an attempt that has failed to the next one; doubled each time up to the last."""


def on_silent(branch: BranchData, parent: Parent, now: float) -> list[Action]:
    """Say that a parent's control connection is silent; if it is primary, an attempt is due at once."""
    branch.renewal = Renewal(due=now, wait=FIRST_WAIT, silent_at=now)
    fields = (("content", branch.content), ("parent", str(parent)))
    text = f"[{branch.content}] nothing is heard on the control connection to {parent}; its media counts"
    return [Announce("control_silent", text, fields)]


def on_time(branch: BranchData, now: float) -> list[Action]:
    """Begin the attempt that is due, or give one up that was not answered."""
    if not branch.is_silent or now < branch.renewal.due:
        return []
    if not any(entry.renews for entry in branch.upstreams.values()):
        return _attempt(branch, now)
    late = branch.leave_unanswered()
    if late:
        on_failed(branch, now)
    return late


def on_failed(branch: BranchData, now: float) -> None:
    """Take in that an attempt has failed."""
    branch.renewal.put_off(now, LAST_WAIT)


def renewed(branch: BranchData, now: float) -> Announce:
    """Say that the subscription lives on a new connection."""
    assert branch.primary is not None
    parent, after_ms = branch.upstreams[branch.primary].parent, round((now - branch.renewal.silent_at) * 1000)
    fields = (("content", branch.content), ("parent", str(parent)), ("after_ms", after_ms))
    text = f"[{branch.content}] subscribed anew at {parent}, after {after_ms} ms"
    return Announce("control_renewed", text, fields)


def _attempt(branch: BranchData, now: float) -> list[Action]:
    assert branch.primary is not None
    branch.renewal.due = now + RENEW_SECONDS
    return [branch.ask_anew(branch.upstreams[branch.primary].parent, now)]
