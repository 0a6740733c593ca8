"""A parent that has fallen silent, and may come back: while nobody else is found, it is asked anew.

A parent lets a child go of which it hears nothing for as long as a lease lasts, and says so. But on a dead
link TCP repeats that word more and more rarely, so it comes many seconds after the link is whole again, and
nothing else tells the child. Where that parent is the only way, nobody else can be found, either.

So who repairs *knocks*: it asks the silent parent on a new connection, beside the search for others. That is
a second upstream like any other, and nothing is left for its sake:

    accepted            media comes, and the old subscription is left; if none comes, it is asked more rarely
    no answer           another attempt takes its place: TCP asks a dead link more and more rarely
    cut off, busy       another attempt, a moment later
    any other refusal   it lives, and has let this node go: it is lost, and asked at once as anybody else is
"""

from dataclasses import replace

from mcast.overlay.actions import Action, ServerParent
from mcast.overlay.attempts import Attempts
from mcast.overlay.branch_data import BranchData
from mcast.overlay.events import Feed
from mcast.overlay.table import State
from mcast.wire.node import MissReason

KNOCK_AFTER = 1.5
"""Seconds after a cut: a lease (2.5 s) may end that soon, if the last report was lost and the silence was
noticed late. Before, the parent's media comes by itself as soon as the link is whole."""
KNOCK_SECONDS = 0.5
"""Until an attempt must have been answered; one segment is sent in that time, to one host."""
LONGEST_KNOCK = 2.0
"""The same where the parent has needed longer for its first answer: more than a round trip by satellite, and
a connect before it."""
ANSWERS = 2.0
"""A knock may take this many times as long as the parent's first answer did: that one may have come on a warm
connection, and this one has to connect first."""
FIRST_WAIT, LAST_WAIT = 1.0, 8.0
"""Seconds after a parent has accepted and brought nothing: only TCP comes through. Doubled up to the last."""
PASSING = frozenset({MissReason.CUT, MissReason.BUSY})
"""Why a parent refuses that may soon accept. CUT stands for one that cannot be reached, too."""
_SILENCE = frozenset({Feed.SILENT, Feed.REFUSED})


def begin(branch: BranchData, now: float) -> None:
    """Take in that no media comes from now on."""
    branch.knocking = Attempts(due=now + KNOCK_AFTER, wait=FIRST_WAIT)


def on_time(branch: BranchData, now: float) -> list[Action]:
    """Begin the attempt that is due, in the place of one that was not answered."""
    if branch.state is not State.REPAIRING or now < branch.knocking.due:
        return []
    return [*branch.leave_unanswered(), *_attempt(branch, now)]


def on_refused(branch: BranchData, now: float) -> None:
    """Take in that an attempt was refused for a reason that passes."""
    branch.knocking.due = now + KNOCK_SECONDS


def on_brought_nothing(branch: BranchData, now: float) -> None:
    """Take in that the parent had accepted, and that no media came."""
    branch.knocking.put_off(now, LAST_WAIT)


def _attempt(branch: BranchData, now: float) -> list[Action]:
    if branch.primary is None or branch.others:
        return []
    silent = branch.upstreams[branch.primary]
    if silent.feed not in _SILENCE:
        return []
    parent = silent.parent
    if isinstance(parent, ServerParent):
        parent = replace(parent, goes_on=True)  # whichever stream it had first: it is this one now
    answer = ANSWERS * (silent.accepted_at - silent.asked_at)
    branch.knocking.due = now + min(max(answer, KNOCK_SECONDS), LONGEST_KNOCK)
    return [branch.ask_anew(parent, now)]
