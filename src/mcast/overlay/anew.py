"""When a content's stream cannot go on, and another one of the content is taken instead: a discontinuity.

A live input's bytes exist once, at one server; a rendezvous point that has just begun knows no stream; two
parts of a broken network may carry two. So what can be had after a failure may be another stream than the one
that was lost: another SSRC, other numbers. Viewers would rather see that than the end. But it costs them a
break in picture and sound, so it is taken only where nothing else is left:

    at once     the parent says that it has begun anew itself (STOP with the reason REPLACED)
    at once     at a rendezvous point whose server is gone, when no other can go on with the stream
    after 1 s   without any media, when nobody offers the stream itself

A stream that has never brought any media is not followed by another one: where no media comes through,
streams would follow each other without end.

Who takes another stream begins a relay for it and sends its children away as REPLACED. They come again at
once, and the break goes down the tree. The child inside a client stays: its output goes on behind the break.
"""

from mcast.overlay.actions import LOCAL, Action, Announce, BeginAnew, Parent, Receive, ServerParent
from mcast.overlay.branch_data import BranchData, Why
from mcast.overlay.events import Feed
from mcast.overlay.table import State
from mcast.wire.node import StopReason

ANEW_SECONDS = 1.0
"""Without media for so long another stream is better than none: who waits for the parent's repair, which
may bring the same stream again, waits as long (`REPAIR_WAIT_SECONDS`)."""


def may_begin(branch: BranchData, parent: Parent, now: float) -> bool:
    """Return whether another stream is to be taken, if this parent has one."""
    if branch.state is not State.REPAIRING:
        return False
    if branch.replaced:
        return True
    is_orphan = isinstance(parent, ServerParent) and _has_no_parent(branch)
    return branch.has_been_fed and (is_orphan or _is_long(branch, now))


def on_time(branch: BranchData, now: float) -> None:
    """Search at once when another stream may be taken from now on: pauses have become long by then."""
    if branch.state is not State.REPAIRING or not _is_long(branch, now):
        branch.hurried = False
    elif not branch.hurried and branch.search is not None:
        branch.hurried = True
        branch.search.hurry(now)


def _has_no_parent(branch: BranchData) -> bool:
    return branch.primary is None or branch.upstreams[branch.primary].feed is Feed.REFUSED


def _is_long(branch: BranchData, now: float) -> bool:
    return branch.trouble.cut_at is not None and now - branch.trouble.cut_at >= ANEW_SECONDS


def begin(branch: BranchData, why: Why) -> list[Action]:
    """Give up the stream that was, and take the one of the parent that has just accepted."""
    assert why.upstream is not None
    assert branch.position is not None
    left = branch.leave([upstream for upstream in branch.upstreams if upstream != why.upstream])
    branch.end_search()
    branch.failed.clear()
    branch.trouble.end()
    branch.replaced = branch.has_been_fed = False
    branch.discontinuities += 1
    branch.make_primary(why.upstream)
    branch.last_word = None  # the stream is news, whatever the path is
    children = [connection for connection in branch.children if connection != LOCAL]
    parent, ssrc = branch.upstreams[why.upstream].parent, branch.position.ssrc
    fields = (("content", branch.content), ("parent", str(parent)), ("ssrc", ssrc))
    text = f"[{branch.content}] begins anew with another stream, of {parent}: a discontinuity"
    return [
        Announce("begun_anew", text, fields),
        *left,
        *branch.admission.end(children, StopReason.REPLACED, None, "the stream was begun anew"),
        BeginAnew(branch.content, branch.position),
        Receive(why.upstream, branch.content),
    ]
