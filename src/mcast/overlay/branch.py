"""One content at one node: its children, its parents, and where it stands (table.py).

**Who may wait.** Concurrent STREAMs for one content make one subscription, but one may wait only
behind a join with a *smaller* request id; otherwise it gets MISS(busy) at once and its client tries
again with a new id. A join under id r waits at the next node only behind an id below r, so along any
chain of waiting nodes the ids fall, and no chain can close to a ring: nobody waits for ever. Who comes
to resume never waits: he is refused at once and asks another.

**Who is asked may say nothing**, as it has just failed. A further child's own question may have found another
neighbour: that one is asked beside the first, under the child's id. The ids still fall, as this is done only
for a child with a smaller id than the join's, and for one who comes to resume, whose STREAM waits nowhere.

What an event means (an `Input` of the table) is decided here, for what parents say in parents.py, and for
what has come of the search for one in seeking.py; what is done then is in steps.py.
"""

from mcast.overlay import anew, knocking, renewal
from mcast.overlay.actions import LOCAL, Action, ConnectionId, Dismiss, Parent
from mcast.overlay.branch_data import Why
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import Departure, Feed
from mcast.overlay.parents import Parents
from mcast.overlay.search import Search
from mcast.overlay.steps import tell
from mcast.overlay.table import ASKING, PAIRABLE, SEEKING, Input, State
from mcast.shares import UNCOUNTED, Source
from mcast.wire.identity import IdentityKind
from mcast.wire.node import MissReason, StopReason, Stream

GIVEN_UP = "no media for"
"""How a node explains that it has given up a stream."""


class Branch(Parents):
    """One content. Times are monotonic seconds."""

    # Children

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

    def on_other_way(self, parent: Parent, stream: Stream) -> None:
        """Take in whom a further child's question has found: to be asked if the parent says nothing."""
        asked = any(entry.parent == parent for entry in self.upstreams.values())
        if self.state is not State.JOINING or asked or parent in self.candidates:
            return
        if stream.resume is not None:
            self.candidates.hurry()  # its viewers have a buffer to live on, and that is all
        elif stream.request > self.request:
            return
        self.candidates.add(parent, stream)

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

    def on_renewed(self, connection: ConnectionId, former: tuple[ConnectionId, ...]) -> list[Action]:
        """Leave out the older subscriptions of a child that gets everything on a newer one."""
        if connection not in self.children:
            return []
        sender = self.children[connection].sender
        old = [each for each in former if each in self.children and self.children[each].sender == sender]
        dismissed = [Dismiss(each, self.content) for each in old]
        return [*dismissed, *self.admission.end(old, StopReason.REPLACED, None, "you have come anew")]

    def on_drained(self, connections: tuple[ConnectionId, ...], now: float) -> list[Action]:
        """Take in which children have got everything."""
        if self.state is not State.ENDING:
            return []
        return [*self.take(Input.DRAINED, Why(now, drained=connections)), *self._prune(now)]

    def tell_clients(self) -> list[Action]:
        """Tell the clients among the children again how it is: whom else they may ask has changed."""
        return tell(self, clients_only=True)

    # As time goes by

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

    def _on_expired(self, now: float) -> list[Action]:
        if self.state is State.JOINING:
            silent = [f"{entry.parent}: no answer" for entry in self.upstreams.values()]
            return self._no_candidate(MissReason.DEADLINE, "; ".join([*self.refusals, *silent]), now)
        saying_cut = self.primary if self.trouble.cut_by_word else None
        if saying_cut is not None and self.upstreams[saying_cut].feed is Feed.FED:
            # It has been saying so for as long as we wait, yet its media has never stopped.
            return self.on_feed(saying_cut, Feed.FED, now)
        if self.state is State.PAIRING:
            return self.take(Input.EXPIRED, Why(now))
        if self.state is State.REPAIRING and self.others:
            # It lives and says that media is to come, which is more than nobody.
            return self.take(Input.OTHER_FEEDS, Why(now, upstream=self.others[0]))
        text = self._given_up() if self.state is State.REPAIRING else "leaving"
        end = StopReason.LEAVING if self.state is State.HANDOVER else StopReason.CUT
        return self.take(Input.EXPIRED, Why(now, text, upstream=self.primary, end=end))

    def _given_up(self) -> str:
        if self.trouble.told.startswith(GIVEN_UP):
            return self.trouble.told  # as the topmost node has said it: else each one would add a clause
        text = f"{GIVEN_UP} {self.give_up:g} s"
        if self.primary is not None:
            return f"{text} from {self.upstreams[self.primary].parent}"
        return f"{text}, since {self.trouble.lost} was lost ({self.trouble.lost_by})"

    # The end of this process

    def on_leaving(self, now: float) -> list[Action]:
        """End everything, as this process does; children get a little time to go elsewhere."""
        self.admission.remove(LOCAL)
        self.leave_reason = StopReason.LEAVING  # so the parent's stream lingers: somebody may take it over
        left = Why(now, "leaving", end=StopReason.LEAVING)
        return [*self.take(Input.LEAVING, left), *self._prune(now)]
