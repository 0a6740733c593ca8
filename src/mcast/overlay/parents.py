"""The parents of one content: what they say, and which of two stays.

**No loops.** PORT names the path from the rendezvous point. A node that finds itself in it leaves
that parent; a child that is in it is refused. A node that is cut off from the source takes nobody in,
so it cannot attach below itself while its news is still on the way.

**Upstreams have identities.** Each subscription at a parent is an `UpstreamEntry` under an id of its
own, and there may be several: while candidates are asked side by side, or while a parent changes. The
*primary* is the one whose path counts: children hear of it, loops are judged by it.

**Of two parents**, where one is wanted, that one stays which brings everything sooner, or whose path has
proven better (better_paths.py). Where two are wanted (pairing.py), both stay. In either case one that cannot
be talked to gives way (renewal.py).
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from mcast.overlay import anew, knocking, renewal
from mcast.overlay.actions import Action, ServerParent, Supply, UpstreamId
from mcast.overlay.admission import CUT_RETRY_MS, cut_off
from mcast.overlay.better_paths import Better, Quality
from mcast.overlay.branch_data import BranchData, UpstreamEntry, Why
from mcast.overlay.events import (
    Accepted,
    ControlSilent,
    Feed,
    FeedChanged,
    HopMeasured,
    Outdone,
    ParentLost,
    Refused,
    Stopped,
    UpstreamEvent,
)
from mcast.overlay.search import Search
from mcast.overlay.seeking import Seeking
from mcast.overlay.table import ASKING, SEEKING, Input, State
from mcast.wire.node import MissReason, Port, StopReason
from mcast.wire.rtcp import FeedState

_FEEDS = {Feed.FED: FeedState.FED, Feed.WAITING: FeedState.WAITING}
_INPUTS: Mapping[Feed, Input] = {
    Feed.FED: Input.FEEDS,
    Feed.WAITING: Input.FEEDS,
    Feed.CUT: Input.STARVES,
    Feed.NO_WAY: Input.NO_WAY,
    Feed.SUSPECT: Input.SUSPECTED,
    Feed.SILENT: Input.SILENT,
    Feed.REFUSED: Input.SILENT,
}

QualityBy: TypeAlias = Callable[[BranchData, UpstreamId], Quality | None]
"""Return how the path by way of one of a content's parents is, None if that is not known."""


class Parents(Seeking):
    """One content, as far as its parents have a say. Times are monotonic seconds."""

    def on_upstream(self, event: UpstreamEvent, quality: QualityBy, now: float) -> list[Action]:
        """Take in what is told of one subscription at a parent."""
        match event:
            case Accepted(upstream, port):
                return self.on_port(upstream, port, now)
            case Refused(upstream, reason, text, retry_ms):
                return self.on_refused(upstream, reason, text, now, retry_ms=retry_ms)
            case Stopped(upstream, StopReason.END, int() as last, text):
                return self.on_over(upstream, last, text, now)
            case Stopped(upstream, stop, _, text):
                if upstream == self.primary:
                    self.trouble.told = text if stop is StopReason.CUT else ""
                return self.on_lost(upstream, stop, text, now)
            case ParentLost(upstream, text):
                return self.on_lost(upstream, StopReason.CUT, text, now)
            case ControlSilent(upstream):
                return self.on_control_silent(upstream, now)
            case FeedChanged(upstream, feed, quiet_ms):
                return self.on_feed(upstream, feed, now, quiet_ms)
            case Outdone(upstream):
                return self.on_outdone(upstream, now, quality)
            case HopMeasured(upstream, delay_ms, lost_permille):
                self.upstreams[upstream].hop = Quality(delay_ms, lost_permille)
                return []

    # PORT, and the end

    def on_port(self, upstream: UpstreamId, port: Port, now: float) -> list[Action]:
        """Take in a parent's PORT: its answer to STREAM, or news."""
        entry = self.upstreams[upstream]
        if not entry.accepted:
            return self._on_accepted(upstream, entry, port, now)
        if port.version <= entry.version:
            return []  # an older one, overtaken
        if self.me in port.path:
            return self.on_lost(upstream, StopReason.CUT, "the parent is below this node", now)
        if self.position is not None and port.stream.ssrc != self.position.ssrc:
            return self.on_lost(upstream, StopReason.REPLACED, "the stream was begun anew", now)
        return self._on_news(upstream, entry, port, now)

    def _on_accepted(
        self, upstream: UpstreamId, entry: UpstreamEntry, port: Port, now: float
    ) -> list[Action]:
        if self.me in port.path:
            return self.on_refused(upstream, MissReason.LOOP, "it is below this node", now)
        if port.cut:
            text = cut_off(entry.parent)
            return self.on_refused(upstream, MissReason.CUT, text, now, retry_ms=CUT_RETRY_MS)
        is_another = self.position is not None and port.stream.ssrc != self.position.ssrc
        if is_another and not anew.may_begin(self, entry.parent, now):
            return self.on_refused(upstream, MissReason.GONE, "it streams the content anew", now)
        entry.accepted, entry.path, entry.version = True, port.path, port.version
        entry.accepted_at = now
        if is_another:
            self.position = port.stream
            begun = self.take(Input.BEGUN_ANEW, Why(now, upstream=upstream))
            return [*begun, *self._prune(now, deserted=True)]  # the children are about to come again
        if self.state is State.JOINING:
            self.position = port.stream
            self.make_primary(upstream)
        return [*self.take(Input.ACCEPTED, Why(now, upstream=upstream)), *self._prune(now)]

    def _on_news(self, upstream: UpstreamId, entry: UpstreamEntry, port: Port, now: float) -> list[Action]:
        stays = entry.leaving and not port.leaving
        entry.version, entry.path, entry.leaving = port.version, port.path, port.leaving
        if upstream != self.primary:
            return self._other_lost(upstream, now) if port.cut or port.leaving else []
        self.make_primary(upstream)
        why = Why(now, "the parent says so", upstream=upstream)
        if port.leaving:
            return self.take(Input.LEAVES, why)
        if port.cut and self.fed:
            self.trouble.cut_by_word = True
            return self.take(Input.NO_WAY if port.no_way else Input.STARVES, why)
        if port.no_way:
            return self.take(Input.NO_WAY, why)
        if not port.cut and self.trouble.cut_by_word:
            self.trouble.cut_by_word = False
            return self.take(Input.FEEDS, why)
        fed = self.take(Input.FEEDS, why) if stays and entry.feed is Feed.FED else []
        return [*fed, *self.take(Input.NEWS, why)]

    def on_refused(
        self, upstream: UpstreamId, reason: MissReason, text: str, now: float, *, retry_ms: int = 0
    ) -> list[Action]:
        """Take in that a parent that was asked has refused, or could not be reached."""
        if self.upstreams[upstream].accepted:
            return self.on_lost(upstream, StopReason.CUT, text, now)
        entry, left = self.upstreams[upstream], self.leave([upstream])
        if entry.renews:
            return [*left, *self._not_renewed(reason, text, now)]
        if self.state not in ASKING:
            return left
        if self.state in SEEKING and reason is not MissReason.BUSY:
            self.failed[entry.parent] = entry.path
        self.refusals.append(f"{entry.parent}: {text or reason.name.lower()}")
        if isinstance(entry.parent, ServerParent):
            text = "; ".join(self.refusals)
        return [*left, *self._pass_over(reason, text, now, retry_ms)]

    def _not_renewed(self, reason: MissReason, text: str, now: float) -> list[Action]:
        """Take in that a parent has refused to go on on a new connection, or was not reached."""
        renewal.on_failed(self, now)
        knocking.on_refused(self, now)
        if self.state is not State.REPAIRING or self.primary is None or reason in knocking.PASSING:
            return []
        return self.on_lost(self.primary, StopReason.LEASE, text, now)

    def on_over(self, upstream: UpstreamId, last: int, text: str, now: float) -> list[Action]:
        """Take in that the content ends with the number `last`."""
        if upstream != self.primary:
            return self.on_lost(upstream, StopReason.END, text, now)
        self.last = last
        return self.take(Input.OVER, Why(now, text, upstream=upstream, end=StopReason.END))

    def on_lost(self, upstream: UpstreamId, reason: StopReason, text: str, now: float) -> list[Action]:
        """Take in that a parent is gone, or has ended the stream."""
        if upstream != self.primary:
            return self._other_lost(upstream, now)
        if reason is StopReason.REPLACED and self.is_silent and self.state is State.DOUBLED:
            return self.take(Input.OUTDONE, Why(now))  # by its own successor
        self.replaced = reason is StopReason.REPLACED
        if self.search is not None:
            self._spur(self.search, reason, now)
        return self.take(Input.LOST, Why(now, text, upstream=upstream, end=reason))

    def _spur(self, search: Search, reason: StopReason, now: float) -> None:
        """Let a search go on at once, if what it waits for is over with the parent."""
        if reason is StopReason.LEASE and self.state is State.REPAIRING:
            search.restart(now)  # it speaks, so the link carries again: what was asked before is lost
        elif self.is_sent_away and len(self.upstreams) == 1:
            search.restart(now)  # there is no peace any more in which one is asked who has not answered yet
        elif self.replaced:
            search.restart(now)  # it has another stream now; a flood under way may wait for one that hangs

    def _other_lost(self, upstream: UpstreamId, now: float) -> list[Action]:
        entry, left = self.upstreams[upstream], self.leave([upstream])
        if entry.renews:
            renewal.on_failed(self, now)
            knocking.on_brought_nothing(self, now)
        elif self.state in SEEKING:
            self.failed[entry.parent] = entry.path
        return [*left, *self.take(Input.OTHER_LOST, Why(now))]

    # Media, and silence

    def on_feed(self, upstream: UpstreamId, feed: Feed, now: float, quiet_ms: int = 0) -> list[Action]:
        """Take in how it is with a parent's media, and for how long none had come."""
        entry = self.upstreams[upstream]
        entry.feed = feed
        self._note_quiet(upstream, now, quiet_ms)
        self.has_been_fed |= feed is Feed.FED
        if upstream != self.primary:
            return self._on_other_feed(upstream, feed, now)
        if self.state is State.ENDING or (feed in _FEEDS and (entry.leaving or self.is_moving)):
            return []
        self.trouble.cut_by_word = False
        told: list[Action] = [Supply(self.content, _FEEDS[feed])] if feed in _FEEDS else []
        return [*told, *self.take(_INPUTS[feed], Why(now, feed.name.lower(), upstream=upstream))]

    def _on_other_feed(self, upstream: UpstreamId, feed: Feed, now: float) -> list[Action]:
        if feed in (Feed.WAITING, Feed.SUSPECT):
            return []
        if feed is not Feed.FED:
            return self._other_lost(upstream, now)
        moves = self.going_home or self.is_moving
        actions = self.take(Input.OTHER_FEEDS, Why(now, upstream=upstream))
        if self.primary is not None and (moves or self.upstreams[self.primary].leaving):
            actions += self.take(Input.LEAVES, Why(now, "the parent leaves", upstream=self.primary))
        return actions

    def _note_quiet(self, upstream: UpstreamId, now: float, quiet_ms: int) -> None:
        """Take in for how long no media had come: as long as the primary parent is well that is no gap."""
        entry = self.upstreams[upstream]
        if entry.feed is not Feed.FED:
            entry.media_at = now - quiet_ms / 1000 if quiet_ms else entry.media_at
            return
        entry.media_at = None
        if upstream == self.primary:
            self.trouble.gap_ms = 0
        elif self.primary is None or self.upstreams[self.primary].feed is not Feed.FED:
            self.trouble.gap_ms = max(self.trouble.gap_ms, quiet_ms)

    def on_control_silent(self, upstream: UpstreamId, now: float) -> list[Action]:
        """Take in that nothing is heard on a parent's control connection: that is no loss."""
        entry = self.upstreams[upstream]
        if entry.silent or not entry.accepted:
            return []
        entry.silent = True
        return renewal.on_silent(self, entry.parent, now)

    # Of two, the one that stays

    def on_better(self, better: Better, now: float) -> list[Action]:
        """Try a way that seems to be better: its parent in addition, for the time being."""
        self.trial.target = better.parent
        return self.take(Input.PAIRS, Why(now))

    def on_outdone(self, upstream: UpstreamId, now: float, quality: QualityBy) -> list[Action]:
        """Take in which of two parents brings nothing that the other has not brought before.

        Where a way is tried that seems better, what is measured on both decides: `quality` tells it.
        """
        if not self.others:
            return []  # the other one has left meanwhile
        if self.is_silent:
            return self.take(Input.OUTDONE, Why(now))  # of two, the one that can be talked to stays
        if self.wish.parents > 1:
            return []
        if self.trial.target is not None and self.state is State.DOUBLED and self.primary is not None:
            present, (tried,) = quality(self, self.primary), (quality(self, other) for other in self.others)
            return self._on_tried(present, tried, now)
        is_primary = upstream == self.primary and not self.trial.has_moved
        return self.take(Input.OUTDONE if is_primary else Input.OTHER_OUTDONE, Why(now))

    def _on_tried(self, present: Quality | None, tried: Quality | None, now: float) -> list[Action]:
        self.trial.target = None
        self.trial.has_moved = present is not None and tried is not None and tried.cost < present.cost
        if not self.trial.has_moved:
            return self.take(Input.OTHER_OUTDONE, Why(now))
        return self.take(Input.MOVES, Why(now, f"{tried} instead of {present}"))

    def leave_silent(self, now: float) -> list[Action]:
        """Leave one of two parents that nothing is heard of but media: another is asked for afterwards."""
        if self.is_silent:
            return self.take(Input.OUTDONE, Why(now))
        if any(self.upstreams[other].silent for other in self.others):
            return self.take(Input.OTHER_OUTDONE, Why(now))
        return []
