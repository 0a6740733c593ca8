"""Where in a history a child is fed from: where it begins, and what it leaves out when it is too slow.

Pure: a child, a history, the time. To be called with the roster's lock held.
"""

from mcast.media.child import Child
from mcast.media.history import History
from mcast.wire.node import Start

MAX_LAG_SECONDS = 6.0
"""A child that fell behind by more goes on at the newest keyframe: less than a history's 8 s."""
KEYFRAME_WAIT_SECONDS = 12.0
"""How long a child waits for a keyframe before it begins without: x264's default GOP is 10 s at 25 fps."""
MAX_AHEAD = 32_768
"""Half of 2**16: a child that claims to be further than this is taken as new."""


def place(child: Child, history: History, now: float) -> None:
    """Choose where a child begins."""
    resume = child.resume
    empty = history.tail == history.head
    if resume is not None and (empty or history.tail <= resume.next <= history.head + MAX_AHEAD):
        child.cursor = child.floor = resume.next
    elif resume is not None and resume.next < history.tail:
        child.cursor = child.floor = history.tail
        child.skipped += history.tail - resume.next
    elif child.start is Start.KEYFRAME and history.last_keyframe is not None:
        child.cursor = child.floor = history.last_keyframe
    else:
        # At the start of a stream its first keyframe is as good as the last.
        child.cursor = history.head if child.start is Start.LIVE else 0
        child.keyframe_by = now + KEYFRAME_WAIT_SECONDS


def has_begun(child: Child, history: History, now: float) -> bool:
    """Say whether a child may be fed; put one that waits for a keyframe there as soon as it has come."""
    if child.keyframe_by is None:
        return True
    keyframe = history.keyframe_from(child.cursor)
    if keyframe is None:
        if now < child.keyframe_by:
            return False
        keyframe = history.head
    child.cursor = child.floor = keyframe
    child.keyframe_by = None
    return True


def skip(child: Child, history: History) -> int:
    """Leave out what the history has lost, or what a child will never make up for; return how much."""
    before = child.cursor
    if before >= history.tail and not (child.began_live and history.lag(before) > MAX_LAG_SECONDS):
        return 0
    keyframe = history.last_keyframe if child.datagrams else None  # who resumes wants all there is
    child.cursor = keyframe if keyframe is not None and keyframe > before else max(before, history.tail)
    child.skipped += child.cursor - before
    return child.cursor - before
