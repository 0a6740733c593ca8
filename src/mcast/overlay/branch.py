"""One content at one node: its parents, its children, and where it stands (table.py).

**Who may wait.** Concurrent STREAMs for one content make one subscription, but one may wait only
behind a join with a *smaller* request id; otherwise it gets MISS(busy) at once and its client tries
again with a new id. A join under id r waits at the next node only behind an id below r, so along any
chain of waiting nodes the ids fall, and no chain can close to a ring: nobody waits for ever. Who comes
to resume never waits: he is refused at once and asks another.

**No loops.** PORT names the path from the rendezvous point. A node that finds itself in it leaves
that parent; a child that is in it is refused. A node that is cut off from the source takes nobody in,
so it cannot attach below itself while its news is still on the way.

**Upstreams have identities.** Each subscription at a parent is an `UpstreamEntry` under an id of its
own, and there may be several: while candidates are asked side by side, or while a parent changes. The
*primary* is the one whose path counts: children hear of it, loops are judged by it.

This module and contest.py decide what an event means (an `Input` of the table); what is done is in steps.py.
"""

from collections.abc import Mapping

from mcast.overlay import anew, knocking, renewal
from mcast.overlay.actions import (
    LOCAL,
    Action,
    Await,
    ConnectionId,
    Dismiss,
    Leave,
    Parent,
    ServerParent,
    Supply,
    UpstreamId,
)
from mcast.overlay.admission import CUT_RETRY_MS, cut_off
from mcast.overlay.branch_data import UpstreamEntry, Why
from mcast.overlay.candidates import SPARE_PATIENCE, Candidates
from mcast.overlay.contest import Contest
from mcast.overlay.events import Departure, Feed
from mcast.overlay.search import Search
from mcast.overlay.steps import tell
from mcast.overlay.table import ASKING, FLOODING, PAIRABLE, SEEKING, Input, State
from mcast.overlay.transitions import REPAIR_WAIT_SECONDS
from mcast.shares import UNCOUNTED, Source
from mcast.wire.identity import IdentityKind
from mcast.wire.node import REQUEST_ID_SIZE, MissReason, Port, StopReason, Stream
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


class Branch(Contest):
    """One content. Times are monotonic seconds."""

    # What happens

    def on_wanted(self, stream: Stream, search: Search, give_up: float, now: float) -> list[Action]:
        """Begin for the local child, for which a parent is searched."""
        self.search, self.start, self.give_up = search, stream.start, give_up
        self.admission.wait_first(stream, LOCAL)
        return self.take(Input.WANTED, Why(now))

    def on_routed(
        self, stream: Stream, connection: ConnectionId, candidates: Candidates, now: float,
        source: Source = UNCOUNTED,
    ) -> list[Action]:  # fmt: skip
        """Begin for the first child, whose request says whom to ask."""
        self.request, self.hops, self.candidates = stream.request, stream.hops + 1, candidates
        self.onward = stream.resume
        self.admission.wait_first(stream, connection, source)
        return self.take(Input.ROUTED, Why(now))

    def on_asked(
        self, stream: Stream, connection: ConnectionId, now: float, source: Source = UNCOUNTED
    ) -> list[Action]:
        """Take in a further child's request."""
        happened = Input.ASKED if stream.resume is None else Input.RESUMES
        taken = self.take(happened, Why(now, stream=stream, connection=connection, source=source))
        return [*taken, *self._prune(now, deserted=True)]  # refused, where nobody else was left: it lingers

    def on_found(self, candidates: Candidates, now: float) -> list[Action]:
        """Take in whom the search has found."""
        assert self.search is not None
        self.request, self.candidates = self.search.request, candidates
        if self.state in SEEKING and not self.moving:
            candidates.hurry()
        return self.take(Input.FOUND, Why(now))

    def awaits_parent(self, now: float) -> bool:
        """Return whether a parent that is cut off itself may still find a way for all below it."""
        if self.primary is None or self.cut_at is None or now >= self.cut_at + REPAIR_WAIT_SECONDS:
            return False
        return self.cut_by_word or self.upstreams[self.primary].feed in (Feed.CUT, Feed.NO_WAY)

    def on_spare(self, parent: Parent, now: float) -> list[Action]:
        """Ask a neighbour that has just said that it is fed, if nobody is being asked now."""
        if self.state not in SEEKING or self.search is None or not self.candidates.is_over:
            return []
        if any(entry.accepted for upstream, entry in self.upstreams.items() if upstream != self.primary):
            return []
        self.request = self.chance.randbytes(REQUEST_ID_SIZE)
        self.candidates = Candidates([parent], SPARE_PATIENCE)
        return self.take(Input.FOUND, Why(now))

    def on_not_found(
        self,
        reason: MissReason,
        text: str,
        now: float,
        *,
        unreachable: bool = False,
        retry_ms: int = 0,
    ) -> list[Action]:
        """Take in that a flood of the search has found nobody."""
        assert self.search is not None
        if reason is not MissReason.BUSY:
            self.failed.clear()  # nobody else is left
        failure = self.search.on_missed(reason, text, now, unreachable=unreachable, retry_ms=retry_ms)
        happened = Input.NOWHERE if failure is None else Input.FAILED
        why = Why(now, text, refuse=reason, retry_ms=retry_ms, failure=failure)
        return [*self._awaited(why, unreachable=unreachable), *self.take(happened, why)]

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

    def on_refused(
        self, upstream: UpstreamId, reason: MissReason, text: str, now: float, *, retry_ms: int = 0
    ) -> list[Action]:
        """Take in that a parent that was asked has refused, or could not be reached."""
        if self.upstreams[upstream].accepted:
            return self.on_lost(upstream, StopReason.CUT, text, now)
        entry = self.upstreams.pop(upstream)
        left = self._left(upstream)
        if entry.renews:
            return [left, *self._not_renewed(reason, text, now)]
        if self.state not in ASKING:
            return [left]
        if self.state in SEEKING and reason is not MissReason.BUSY:
            self.failed[entry.parent] = entry.path
        self.refusals.append(f"{entry.parent}: {text or reason.name.lower()}")
        if isinstance(entry.parent, ServerParent):
            text = "; ".join(self.refusals)
        return [left, *self._pass_over(reason, text, now, retry_ms)]

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
            search.hurry(now)

    def on_control_silent(self, upstream: UpstreamId, now: float) -> list[Action]:
        """Take in that nothing is heard on a parent's control connection: that is no loss."""
        entry = self.upstreams[upstream]
        if entry.silent or not entry.accepted:
            return []
        entry.silent = True
        return renewal.on_silent(self, entry.parent, now)

    def on_feed(self, upstream: UpstreamId, feed: Feed, now: float, quiet_ms: int = 0) -> list[Action]:
        """Take in how it is with a parent's media, and for how long none had come."""
        entry = self.upstreams[upstream]
        entry.feed = feed
        self._note_quiet(upstream, now, quiet_ms)
        self.has_been_fed |= feed is Feed.FED
        if upstream != self.primary:
            return self._on_other_feed(upstream, feed, now)
        if self.state is State.ENDING or (entry.leaving and feed in _FEEDS):
            return []
        self.cut_by_word = False
        told: list[Action] = [Supply(self.content, _FEEDS[feed])] if feed in _FEEDS else []
        return [*told, *self.take(_INPUTS[feed], Why(now, feed.name.lower(), upstream=upstream))]

    def on_drained(self, connections: tuple[ConnectionId, ...], now: float) -> list[Action]:
        """Take in which children have got everything."""
        if self.state is not State.ENDING:
            return []
        return [*self.take(Input.DRAINED, Why(now, drained=connections)), *self._prune(now)]

    def on_renewed(self, connection: ConnectionId, former: tuple[ConnectionId, ...]) -> list[Action]:
        """Leave out the older subscriptions of a child that gets everything on a newer one."""
        if connection not in self.children:
            return []
        sender = self.children[connection].sender
        old = [each for each in former if each in self.children and self.children[each].sender == sender]
        dismissed = [Dismiss(each, self.content) for each in old]
        return [*dismissed, *self.admission.end(old, StopReason.REPLACED, None, "you have come anew")]

    def on_child_gone(self, connection: ConnectionId, how: Departure, now: float) -> list[Action]:
        """Remove a child, in whichever state; prune what nobody takes any more.

        A node that was lost may have left others behind, who come here now: the stream runs on for a while.
        Behind a client there is nobody.
        """
        child = self.children.get(connection)
        is_node = child is not None and child.sender.kind is IdentityKind.NODE
        was_fed = self.admission.remove(connection)
        dismissed: list[Action] = [Dismiss(connection, self.content)] if was_fed else []
        if is_node and self.state in SEEKING and self.search is not None:
            self.search.hurry(now)  # it has gone where it is fed: there is somebody new to ask
        return [*dismissed, *self._prune(now, deserted=is_node and how is not Departure.UNSUBSCRIBED)]

    def on_time(self, now: float) -> list[Action]:
        """Do what is due."""
        anew.on_time(self, now)
        if self.deadline is not None and now >= self.deadline:
            return self._on_expired(now)
        if self.state in ASKING and self.candidates.is_late(now):
            return self.take(Input.LATE, Why(now, "no answer yet"))
        if self.state in SEEKING and self.candidates.is_mute(now):
            return self._no_candidate(MissReason.DEADLINE, "no answer yet", now)
        if mute := next((each for each in self.mutes if now >= self.upstreams[each].media_due), None):
            return self._other_lost(mute, now)
        if self.state is State.DOUBLED and self.wish.parents > 1 and (silent := self.leave_silent(now)):
            return silent
        if self.state is State.DOUBLED and self.wish.parents > 1 and not self.is_watched(now):
            return self.take(Input.OTHER_OUTDONE, Why(now))
        if self.state in PAIRABLE and self.pairing.begin(now, lambda: self.may_pair(now)):
            return self.take(Input.PAIRS, Why(now))
        return renewal.on_time(self, now) if self.state is State.FED else knocking.on_time(self, now)

    def tell_clients(self) -> list[Action]:
        """Tell the clients among the children again how it is: whom else they may ask has changed."""
        return tell(self, clients_only=True)

    def on_leaving(self, now: float) -> list[Action]:
        """End everything, as this process does; children get a little time to go elsewhere."""
        self.admission.remove(LOCAL)
        self.leave_reason = StopReason.LEAVING  # so the parent's stream lingers: somebody may take it over
        left = Why(now, "leaving", end=StopReason.LEAVING)
        return [*self.take(Input.LEAVING, left), *self._prune(now)]

    @property
    def is_searching(self) -> bool:
        """Return whether floods are to find a parent."""
        return self.state in FLOODING

    @property
    def is_first_flood(self) -> bool:
        """Return whether no flood of the search has failed yet."""
        return self.search is None or not self.search.has_failed

    def begin_flood(self, now: float) -> bytes | None:
        """Return the id of the flood that is to begin now; None if none is."""
        return self.search.begin(now) if self.search is not None and self.is_searching else None

    def _note_quiet(self, upstream: UpstreamId, now: float, quiet_ms: int) -> None:
        """Take in for how long no media had come: as long as the primary parent is well that is no gap."""
        entry = self.upstreams[upstream]
        if entry.feed is not Feed.FED:
            entry.media_at = now - quiet_ms / 1000 if quiet_ms else entry.media_at
            return
        entry.media_at = None
        if upstream == self.primary:
            self.gap_ms = 0
        elif self.primary is None or self.upstreams[self.primary].feed is not Feed.FED:
            self.gap_ms = max(self.gap_ms, quiet_ms)

    # Which input it is

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
            self.cut_by_word = True
            return self.take(Input.NO_WAY if port.no_way else Input.STARVES, why)
        if port.no_way:
            return self.take(Input.NO_WAY, why)
        if not port.cut and self.cut_by_word:
            self.cut_by_word = False
            return self.take(Input.FEEDS, why)
        fed = self.take(Input.FEEDS, why) if stays and entry.feed is Feed.FED else []
        return [*fed, *self.take(Input.NEWS, why)]

    def _on_other_feed(self, upstream: UpstreamId, feed: Feed, now: float) -> list[Action]:
        if feed in (Feed.WAITING, Feed.SUSPECT):
            return []
        if feed is not Feed.FED:
            return self._other_lost(upstream, now)
        actions = self.take(Input.OTHER_FEEDS, Why(now, upstream=upstream))
        if self.primary is not None and (self.moving or self.upstreams[self.primary].leaving):
            actions += self.take(Input.LEAVES, Why(now, "the parent leaves", upstream=self.primary))
        return actions

    def _other_lost(self, upstream: UpstreamId, now: float) -> list[Action]:
        entry = self.upstreams.pop(upstream)
        if entry.renews:
            renewal.on_failed(self, now)
            knocking.on_brought_nothing(self, now)
        elif self.state in SEEKING:
            self.failed[entry.parent] = entry.path
        return [self._left(upstream), *self.take(Input.OTHER_LOST, Why(now))]

    def _not_renewed(self, reason: MissReason, text: str, now: float) -> list[Action]:
        """Take in that a parent has refused to go on on a new connection, or was not reached."""
        renewal.on_failed(self, now)
        knocking.on_refused(self, now)
        if self.state is not State.REPAIRING or self.primary is None or reason in knocking.PASSING:
            return []
        return self.on_lost(self.primary, StopReason.LEASE, text, now)

    def _pass_over(self, reason: MissReason, text: str, now: float, retry_ms: int) -> list[Action]:
        """Go on after a refusal: to the next candidate, to the others that were asked, to the search."""
        if self.candidates:
            return self.take(Input.PASSED_OVER, Why(now, text))
        if self.state is State.JOINING and self.upstreams:
            return []  # asked beside it, and may still answer
        if self.state is State.PAIRING and len(self.upstreams) > 1:
            return []  # the same
        if self.state in SEEKING and self.candidates.is_over:
            return []  # it was late, so the search goes on already
        return self._no_candidate(reason, text, now, retry_ms)

    def _no_candidate(self, reason: MissReason, text: str, now: float, retry_ms: int = 0) -> list[Action]:
        self.candidates = Candidates(())
        if self.moving:
            return self.take(Input.FEEDS, Why(now, upstream=self.primary))  # so it stays where it is
        if self.search is None:
            return self.take(Input.REFUSED, Why(now, text, refuse=reason, retry_ms=retry_ms))
        failure = self.search.on_missed(reason, text, now, retry_ms=retry_ms)
        happened = Input.MISSED if failure is None else Input.FAILED
        why = Why(now, text, refuse=reason, retry_ms=retry_ms, failure=failure)
        return [*self._awaited(why), *self.take(happened, why)]

    def _awaited(self, why: Why, *, unreachable: bool = False) -> list[Action]:
        """Tell the local child why it still waits, if the search goes on."""
        if why.failure is not None or LOCAL not in self.admission.waiters:
            return []
        if why.retry_ms:
            return [Await(self.content, why.text)]
        is_silence = unreachable or why.refuse is MissReason.DEADLINE
        missed = f"{'' if is_silence else why.refuse.name.lower()} {why.text}".strip() or "no answer yet"
        return [Await(self.content, f"{missed}; asking again by itself")]

    def _on_expired(self, now: float) -> list[Action]:
        if self.state is State.JOINING:
            silent = [f"{entry.parent}: no answer" for entry in self.upstreams.values()]
            return self._no_candidate(MissReason.DEADLINE, "; ".join([*self.refusals, *silent]), now)
        if self.cut_by_word and self.primary is not None and self.upstreams[self.primary].feed is Feed.FED:
            # The parent has been saying "cut" for as long as we wait, yet its media has never stopped.
            return self.on_feed(self.primary, Feed.FED, now)
        if self.state is State.PAIRING:
            return self.take(Input.EXPIRED, Why(now))
        if self.state is State.REPAIRING and self.others:
            # It lives and says that media is to come, which is more than nobody.
            return self.take(Input.OTHER_FEEDS, Why(now, upstream=self.others[0]))
        text = self._given_up() if self.state is State.REPAIRING else "leaving"
        end = StopReason.LEAVING if self.state is State.HANDOVER else StopReason.CUT
        return self.take(Input.EXPIRED, Why(now, text, upstream=self.primary, end=end))

    def _given_up(self) -> str:
        since = f", since its parent was lost ({self.lost_by})" if self.lost_by else ""
        return f"no media for {self.give_up:g} s{since}"

    def _left(self, upstream: UpstreamId) -> Leave:
        return Leave(upstream, self.content, StopReason.UNSUBSCRIBE)

    def _prune(self, now: float, *, deserted: bool = False) -> list[Action]:
        if self.state in (State.ABSENT, State.LINGERING) or not self.admission.is_empty:
            return []
        return self.take(Input.DESERTED if deserted else Input.EMPTIED, Why(now))
