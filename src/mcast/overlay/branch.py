"""One content at one node: its parents, its children, and where it stands (table.py).

**Who may wait.** Concurrent STREAMs for one content make one subscription, but one may wait only
behind a join with a *smaller* request id; otherwise it gets MISS(busy) at once and its client tries
again with a new id. A join under id r waits at the next node only behind an id below r, so along any
chain of waiting nodes the ids fall, and no chain can close to a ring: nobody waits for ever.

**No loops.** PORT names the path from the rendezvous point. A node that finds itself in it leaves
that parent; a child that is in it is refused. A node that is cut off from the source takes nobody in,
so it cannot attach below itself while its news is still on the way.

**Upstreams have identities.** Each subscription at a parent is an `UpstreamEntry` under an id of its
own, and there may be several: while candidates are asked side by side, or while a parent changes. The
*primary* is the one whose path counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mcast.overlay.actions import (
    LOCAL,
    Action,
    Announce,
    AwaitDrain,
    CloseRelay,
    ConnectionId,
    Dismiss,
    Leave,
    Parent,
    Path,
    Receive,
    SearchFailure,
    ServerParent,
    Subscribe,
    Supply,
    UpstreamId,
)
from mcast.overlay.admission import Admission
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import Feed
from mcast.overlay.search import Search
from mcast.overlay.table import IGNORED, TABLE, Input, State, Step
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, Port, Start, StopReason, Stream
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState

JOIN_SECONDS = 5.0
"""Until a parent must have answered STREAM: more than a TCP connect at 25 % loss."""
SERVER_JOIN_SECONDS = 4.5
"""Until one of the servers must have answered, all tries together: less than JOIN_SECONDS, so that the
rendezvous point tells its child why before the child gives up."""
GIVE_UP_SECONDS = 5.0
"""Cut off for so long, a stream is over here; its children are free to look elsewhere."""
DRAIN_SECONDS = 2.0
"""How long the last datagrams of a content that ends may take to come, and to go on."""

_SUPPLY = {Feed.FED: FeedState.FED, Feed.WAITING: FeedState.WAITING}
"""What the children are told of the parent's media; all else is a cut."""


@dataclass(slots=True)
class UpstreamEntry:
    """What the decisions know of one subscription at a parent."""

    parent: Parent
    accepted: bool = False
    path: Path = ()  # of the parent
    version: int = 0  # of the parent's newest PORT
    feed: Feed = Feed.WAITING


@dataclass(frozen=True, slots=True)
class Why:
    """The occasion of a transition: what its steps need to know of the event."""

    now: float
    text: str = ""
    stream: Stream | None = None
    connection: ConnectionId = LOCAL
    upstream: UpstreamId | None = None
    drained: tuple[ConnectionId, ...] = ()
    refuse: MissReason = MissReason.GONE  # how who waits is refused
    failure: SearchFailure | None = None  # the same, for the local child
    end: StopReason = StopReason.CUT  # how children are sent away
    leave: StopReason = StopReason.UNSUBSCRIBE  # how parents are left


class Branch:
    """One content. Times are monotonic seconds."""

    def __init__(self, content: str, me: Identity, numbers: Iterator[UpstreamId]) -> None:
        """Begin with nothing. `numbers` gives each new upstream of this node its id."""
        self.content, self._me, self._numbers = content, me, numbers
        self.state = State.ABSENT
        self.admission = Admission(content)
        self.upstreams: dict[UpstreamId, UpstreamEntry] = {}
        self.primary: UpstreamId | None = None
        self.position: Position | None = None
        self.version = 1  # of our own PORTs
        self.search: Search | None = None
        self._request, self._hops, self._start = b"", 0, Start.KEYFRAME
        self._candidates = Candidates(())
        self._asked: Parent | None = None  # the last one
        self._refusals: list[str] = []
        self._last: int | None = None  # number of the content's last datagram
        self._deadline: float | None = None  # of the state
        self._cut_at = 0.0
        self._cut_by_word = False  # the parent's PORT said so; its media has not stopped yet

    def __repr__(self) -> str:
        return f"<Branch {self.content} {self.state.name} {self.upstreams} {self.admission}>"

    @property
    def fed(self) -> bool:
        """Tell whether a new child would be fed."""
        return self.state is State.FED

    @property
    def path(self) -> Path:
        """Return the way from the rendezvous point to this node; empty without a primary."""
        return () if self.primary is None else (*self.upstreams[self.primary].path, self._me)

    @property
    def children(self) -> Mapping[ConnectionId, Stream]:
        """Return who is fed from here."""
        return self.admission.children

    # What happens

    def on_wanted(self, stream: Stream, search: Search, now: float) -> list[Action]:
        """Begin for the local child, for which a parent is searched."""
        self.search, self._start = search, stream.start
        self.admission.waiters[LOCAL] = stream
        return self._take(Input.WANTED, Why(now))

    def on_routed(
        self, stream: Stream, connection: ConnectionId, candidates: Candidates, now: float
    ) -> list[Action]:
        """Begin for the first child, whose request says whom to ask."""
        self._request, self._hops, self._candidates = stream.request, stream.hops + 1, candidates
        self.admission.waiters[connection] = stream
        return self._take(Input.ROUTED, Why(now))

    def on_asked(self, stream: Stream, connection: ConnectionId, now: float) -> list[Action]:
        """Take in a further child's request."""
        return self._take(Input.ASKED, Why(now, stream=stream, connection=connection))

    def on_found(self, candidates: Candidates, now: float) -> list[Action]:
        """Take in whom the search has found."""
        assert self.search is not None
        self._request, self._candidates = self.search.request, candidates
        return self._take(Input.FOUND, Why(now))

    def on_not_found(
        self, reason: MissReason, text: str, now: float, *, unreachable: bool = False
    ) -> list[Action]:
        """Take in that a flood of the search has found nobody."""
        assert self.search is not None
        failure = self.search.on_missed(reason, text, now, unreachable=unreachable)
        if failure is None:
            return []
        return self._take(Input.FAILED, Why(now, text, refuse=reason, failure=failure))

    def on_port(self, upstream: UpstreamId, port: Port, now: float) -> list[Action]:
        """Take in a parent's PORT: its answer to STREAM, or news."""
        entry = self.upstreams[upstream]
        if not entry.accepted:
            return self._on_accepted(upstream, entry, port, now)
        if port.version <= entry.version:
            return []  # an older one, overtaken
        if self._me in port.path:
            return self.on_lost(upstream, StopReason.CUT, "the parent is below this node", now)
        if self.position is not None and port.stream.ssrc != self.position.ssrc:
            return self.on_lost(upstream, StopReason.REPLACED, "the stream was begun anew", now)
        return self._on_news(upstream, entry, port, now)

    def on_refused(self, upstream: UpstreamId, reason: MissReason, text: str, now: float) -> list[Action]:
        """Take in that a parent that was asked has refused, or could not be reached."""
        entry = self.upstreams.pop(upstream)
        left = self._left(upstream)
        if self.state is not State.JOINING:
            return [left]
        self._refusals.append(f"{entry.parent}: {text or reason.name.lower()}")
        if isinstance(entry.parent, ServerParent):
            text = "; ".join(self._refusals)
        return [left, *self._pass_over(reason, text, now)]

    def on_over(self, upstream: UpstreamId, last: int, text: str, now: float) -> list[Action]:
        """Take in that the content ends with the number `last`."""
        if upstream != self.primary:
            return self.on_lost(upstream, StopReason.END, text, now)
        self._last = last
        return self._take(Input.OVER, Why(now, text, upstream=upstream))

    def on_lost(self, upstream: UpstreamId, reason: StopReason, text: str, now: float) -> list[Action]:
        """Take in that a parent is gone, or has ended the stream."""
        if upstream != self.primary:
            del self.upstreams[upstream]
            return [self._left(upstream)]
        return self._take(Input.LOST, Why(now, text, upstream=upstream, end=reason))

    def on_feed(self, upstream: UpstreamId, feed: Feed, now: float) -> list[Action]:
        """Take in how it is with a parent's media."""
        self.upstreams[upstream].feed = feed
        if upstream != self.primary or self.state is State.ENDING:
            return []
        self._cut_by_word = False
        supply = Supply(self.content, _SUPPLY.get(feed, FeedState.CUT))
        happened = Input.FEEDS if feed in _SUPPLY else Input.STARVES
        return [supply, *self._take(happened, Why(now, feed.name.lower(), upstream=upstream))]

    def on_drained(self, connections: tuple[ConnectionId, ...], now: float) -> list[Action]:
        """Take in which children have got everything."""
        if self.state is not State.ENDING:
            return []
        return [*self._take(Input.DRAINED, Why(now, drained=connections)), *self._prune(now)]

    def on_child_gone(self, connection: ConnectionId, now: float) -> list[Action]:
        """Remove a child, in whichever state; prune what nobody takes any more."""
        dismissed: list[Action] = []
        if self.admission.remove(connection):
            dismissed.append(Dismiss(connection, self.content))
        return [*dismissed, *self._prune(now)]

    def on_time(self, now: float) -> list[Action]:
        """Do what is due."""
        if self._deadline is not None and now >= self._deadline:
            return self._on_expired(now)
        if self.state is State.JOINING and self._candidates.is_late(now):
            return self._take(Input.LATE, Why(now, "no answer yet"))
        return []

    def on_leaving(self, now: float) -> list[Action]:
        """End everything, as this process does."""
        return self._take(
            Input.LEAVING, Why(now, "leaving", end=StopReason.LEAVING, leave=StopReason.LEAVING)
        )

    # Which input it is

    def _on_accepted(
        self, upstream: UpstreamId, entry: UpstreamEntry, port: Port, now: float
    ) -> list[Action]:
        if self._me in port.path:
            return self.on_refused(upstream, MissReason.LOOP, "it is below this node", now)
        if port.cut:
            return self.on_refused(upstream, MissReason.CUT, "it is cut off itself", now)
        entry.accepted, entry.path, entry.version = True, port.path, port.version
        self.primary, self.position = upstream, port.stream
        return [*self._take(Input.ACCEPTED, Why(now, upstream=upstream)), *self._prune(now)]

    def _on_news(self, upstream: UpstreamId, entry: UpstreamEntry, port: Port, now: float) -> list[Action]:
        entry.version, entry.path = port.version, port.path
        if upstream != self.primary or self.state is State.ENDING:
            return []
        if port.cut and self.state is State.FED:
            self._cut_by_word = True
            told = Supply(self.content, FeedState.CUT)
            return [told, *self._take(Input.STARVES, Why(now, "the parent is cut off", upstream=upstream))]
        if not port.cut and self._cut_by_word:
            self._cut_by_word = False
            told = Supply(self.content, _SUPPLY.get(entry.feed, FeedState.CUT))
            return [told, *self._take(Input.FEEDS, Why(now, upstream=upstream))]
        return self._take(Input.NEWS, Why(now, upstream=upstream))

    def _pass_over(self, reason: MissReason, text: str, now: float) -> list[Action]:
        """Go on after a refusal: to the next candidate, to the others that were asked, to the search."""
        if self._candidates:
            return self._take(Input.PASSED_OVER, Why(now, text))
        if self.upstreams:
            return []  # asked beside it, and may still answer
        return self._no_candidate(reason, text, now)

    def _no_candidate(self, reason: MissReason, text: str, now: float) -> list[Action]:
        if self.search is None:
            return self._take(Input.REFUSED, Why(now, text, refuse=reason))
        failure = self.search.on_missed(reason, text, now)
        happened = Input.MISSED if failure is None else Input.FAILED
        return self._take(happened, Why(now, text, refuse=reason, failure=failure))

    def _on_expired(self, now: float) -> list[Action]:
        if self.state is State.JOINING:
            silent = [f"{entry.parent}: no answer" for entry in self.upstreams.values()]
            return self._no_candidate(MissReason.DEADLINE, "; ".join([*self._refusals, *silent]), now)
        if self._cut_by_word and self.primary is not None and self.upstreams[self.primary].feed is Feed.FED:
            # The parent has been saying "cut" for as long as we wait, yet its media has never stopped.
            return self.on_feed(self.primary, Feed.FED, now)
        text = f"no media for {GIVE_UP_SECONDS:g} s" if self.state is State.CUT else "its time is over"
        return self._take(Input.EXPIRED, Why(now, text, upstream=self.primary))

    def _prune(self, now: float) -> list[Action]:
        if self.state is State.ABSENT or not self.admission.is_empty:
            return []
        return self._take(Input.EMPTIED, Why(now))

    # The step from state to state

    def _take(self, happened: Input, why: Why) -> list[Action]:
        cell = TABLE[self.state].get(happened)
        if cell is None:
            assert happened in IGNORED[self.state], f"[{self.content}] {happened} cannot come in {self.state}"
            return []
        if cell.next is not self.state:
            self.state = cell.next
            self._deadline = self._deadline_of(cell.next, why.now)
        return [action for step in cell.steps for action in _STEPS[step](self, why)]

    def _deadline_of(self, state: State, now: float) -> float | None:
        match state:
            case State.JOINING:
                servers = isinstance(self._candidates.first, ServerParent)
                return now + (SERVER_JOIN_SECONDS if servers else JOIN_SECONDS)
            case State.CUT:
                return now + GIVE_UP_SECONDS
            case State.ENDING:
                return now + DRAIN_SECONDS
        return None

    def _search(self, _: Why) -> list[Action]:
        return []  # the search has been handed in; the core begins its floods when they are due

    def _ask_next(self, why: Why) -> list[Action]:
        parent = self._candidates.take(why.now)
        assert parent is not None, "asked only where a candidate is left"
        upstream = next(self._numbers)
        before, self._asked = self._asked, parent
        self.upstreams[upstream] = UpstreamEntry(parent)
        ask = Subscribe(upstream, self.content, self._request, parent, self._hops, self._start)
        if isinstance(parent, ServerParent) and isinstance(before, ServerParent):
            return [self._failover(before, parent, why.text), ask]
        return [ask]

    def _wait_behind(self, why: Why) -> list[Action]:
        assert why.stream is not None
        pending = self.search.request if self.search is not None else self._request
        return self.admission.wait_behind(pending, why.stream, why.connection)

    def _admit(self, why: Why) -> list[Action]:
        assert why.stream is not None
        return self.admission.admit(why.stream, why.connection, self.path, self.version)

    def _admit_all(self, _: Why) -> list[Action]:
        return self.admission.admit_all(self.path, self.version)

    def _refuse_cut(self, why: Why) -> list[Action]:
        assert why.stream is not None
        return [self.admission.refuse(why.stream, why.connection, MissReason.CUT)]

    def _refuse_gone(self, why: Why) -> list[Action]:
        assert why.stream is not None
        return [self.admission.refuse(why.stream, why.connection, MissReason.GONE, "the content is ending")]

    def _refuse_all(self, why: Why) -> list[Action]:
        return self.admission.refuse_all(why.refuse, why.text, why.failure)

    def _receive(self, why: Why) -> list[Action]:
        assert why.upstream is not None
        others = [other for other in self.upstreams if other != why.upstream]
        actions: list[Action] = [Receive(why.upstream, self.content)]
        for other in others:
            del self.upstreams[other]
            actions.append(self._left(other))
        self._refusals, self._candidates, self.search = [], Candidates(()), None
        parent = self.upstreams[why.upstream].parent
        if isinstance(parent, ServerParent):
            fields = (("content", self.content), ("server", parent.address))
            actions.append(Announce("serves", f"[{self.content}] streams from {parent}", fields))
        return actions

    def _renew(self, _: Why) -> list[Action]:
        return self._tell(cut=self.state is State.CUT)

    def _tell_cut(self, why: Why) -> list[Action]:
        self._cut_at = why.now
        fields = (("content", self.content), ("cause", why.text))
        return [Announce("cut", f"[{self.content}] cut off: {why.text}", fields), *self._tell(cut=True)]

    def _tell_fed(self, why: Why) -> list[Action]:
        after_ms, self._cut_at = round((why.now - self._cut_at) * 1000), 0.0
        fields = (("content", self.content), ("after_ms", after_ms))
        text = f"[{self.content}] fed again after {after_ms} ms"
        return [Announce("fed", text, fields), *self._tell(cut=False)]

    def _tell(self, *, cut: bool) -> list[Action]:
        self.version += 1
        return self.admission.tell_all(self.path, self.version, cut=cut)

    def _tell_lost(self, why: Why) -> list[Action]:
        assert why.upstream is not None
        parent = self.upstreams[why.upstream].parent
        after_ms = round((why.now - self._cut_at) * 1000) if self._cut_at else 0
        cause = f"{why.end.name.lower()} {why.text}".strip()
        fields = (
            ("content", self.content),
            ("parent", str(parent)),
            ("cause", cause),
            ("after_ms", after_ms),
        )
        return [Announce("parent_lost", f"[{self.content}] lost its parent {parent}: {cause}", fields)]

    def _await_drain(self, why: Why) -> list[Action]:
        assert self._last is not None
        fields = (("content", self.content), ("reason", why.text or "the content is over"))
        told = Announce("ended", f"[{self.content}] is over with number {self._last}", fields)
        return [told, AwaitDrain(self.content, self._last)]

    def _end_drained(self, why: Why) -> list[Action]:
        return self.admission.end(why.drained, StopReason.END, self._last, "")

    def _end_all(self, why: Why) -> list[Action]:
        reason = why.end if self._last is None else StopReason.END
        text = why.text if self._last is None else ""
        return self.admission.end(tuple(self.children), reason, self._last, text)

    def _leave_all(self, why: Why) -> list[Action]:
        upstreams, self.upstreams, self.primary = self.upstreams, {}, None
        return [Leave(upstream, self.content, why.leave) for upstream in upstreams]

    def _close(self, _: Why) -> list[Action]:
        return [CloseRelay(self.content)]

    def _left(self, upstream: UpstreamId) -> Leave:
        return Leave(upstream, self.content, StopReason.UNSUBSCRIBE)

    def _failover(self, before: ServerParent, parent: ServerParent, cause: str) -> Announce:
        fields = (
            ("content", self.content),
            ("server", before.address),
            ("to", parent.address),
            ("cause", cause),
        )
        return Announce("server_failover", f"[{self.content}] asks {parent} next: {cause}", fields)


_STEPS: Mapping[Step, Callable[[Branch, Why], list[Action]]] = {
    Step.SEARCH: Branch._search,
    Step.ASK_NEXT: Branch._ask_next,
    Step.WAIT_BEHIND: Branch._wait_behind,
    Step.ADMIT: Branch._admit,
    Step.ADMIT_ALL: Branch._admit_all,
    Step.REFUSE_CUT: Branch._refuse_cut,
    Step.REFUSE_GONE: Branch._refuse_gone,
    Step.REFUSE_ALL: Branch._refuse_all,
    Step.RECEIVE: Branch._receive,
    Step.RENEW: Branch._renew,
    Step.TELL_CUT: Branch._tell_cut,
    Step.TELL_FED: Branch._tell_fed,
    Step.TELL_LOST: Branch._tell_lost,
    Step.AWAIT_DRAIN: Branch._await_drain,
    Step.END_DRAINED: Branch._end_drained,
    Step.END_ALL: Branch._end_all,
    Step.LEAVE_ALL: Branch._leave_all,
    Step.CLOSE: Branch._close,
}
