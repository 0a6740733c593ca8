"""The searches of one node for itself: when each floods, whom it asks, and what has come of it.

What a flood is, discovery.py knows; when the next one of a search is due, search.py; what an answer means to
a content, seeking.py.
"""

from collections.abc import Container, Iterable, Mapping

from mcast.overlay import homing
from mcast.overlay.actions import Action, NodeParent, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates, of_servers
from mcast.overlay.discovery import OWN_FLOOD_SECONDS, Discovery, Outcome
from mcast.overlay.flood import Hindered, OwnAnswer, OwnSearch
from mcast.overlay.neighbours import Neighbours
from mcast.overlay.root import Root
from mcast.overlay.table import LOOKING, SEEKING, State
from mcast.wire.node import Miss, MissReason


class OwnSearches:
    """One node's. Times are monotonic seconds."""

    def __init__(
        self, branches: Mapping[str, Branch], discovery: Discovery, neighbours: Neighbours, root: Root
    ) -> None:
        """`branches` is what the node takes part in, as it changes."""
        self._branches, self._discovery = branches, discovery
        self._neighbours, self._root = neighbours, root

    def go_on(self, now: float) -> list[Action]:
        """Begin the floods that are due."""
        actions: list[Action] = []
        for branch in list(self._branches.values()):
            if branch.state in SEEKING:
                actions += self._neighbours.meet_in_time(branch, now)
            while (request := branch.begin_flood(now)) is not None:
                actions += self._look_around(branch, request, now)
        return actions

    def hurry(self, now: float, contents: Container[str] | None = None) -> None:
        """Ask one who can be asked from now on, for some contents or for any, without a pause."""
        self._discovery.dead_ends.on_news()
        for branch in self._branches.values():
            if contents is not None and branch.content not in contents:
                continue
            if branch.state in SEEKING and branch.search is not None:
                branch.search.hurry(now)

    def cancel(self, content: str, now: float) -> list[Action]:
        """End the flood for a content; what is still asked would be answered to nobody."""
        return [*self.resolve(self._discovery.on_asker_gone(OwnSearch(content)), now)]

    def resolve(self, outcomes: Iterable[Outcome], now: float) -> Iterable[Action]:
        """Hand the answers to this node's own floods to their searches; yield what is to be done."""
        for outcome in outcomes:
            match outcome:
                case OwnAnswer():
                    yield from self._on_answer(outcome, now)
                case Hindered():
                    yield from self._neighbours.on_hindered(outcome, now)
                case _:
                    yield outcome

    def _look_around(self, branch: Branch, request: bytes, now: float) -> Iterable[Action]:
        """Find whom to ask: by a flood, or at a rendezvous point among its servers, too."""
        servers = [each for each in branch.spares() if isinstance(each, ServerParent)]
        servers += self._root.others(branch, now)
        if servers and (self._neighbours.is_root or not branch.is_first_flood):
            return branch.on_found(of_servers(servers), now)
        if not self._root.asks_neighbours():
            return branch.on_not_found(MissReason.CUT, "no other server has it", now)
        excluded, askable = self._neighbours.whom_to_ask(branch)
        before = self.cancel(branch.content, now)
        farthest = max(askable.values(), default=0.0) / 1000
        seconds = OWN_FLOOD_SECONDS if branch.search is None else branch.search.flood_seconds(farthest)
        scoped = branch.state is State.SEARCHING and branch.search is not None and branch.search.is_scoped
        last_resort = branch.search is not None and branch.search.is_last_resort
        flood = self._discovery.search(
            branch.content, request, excluded, askable, now, seconds, scoped=scoped, last_resort=last_resort
        )
        early = branch.state is State.REPAIRING and not branch.awaits_parent(now)
        prepared = self._neighbours.prepare(branch.content, now) if early else []
        return [*before, *self.resolve(flood, now), *prepared]

    def _on_answer(self, own: OwnAnswer, now: float) -> list[Action]:
        branch = self._branches.get(own.search.content)
        if own.search.homing:
            return homing.on_answer(self._discovery, branch, own.answer, now)
        if branch is None or branch.search is None or not branch.is_searching:
            return []
        answer = own.answer
        if isinstance(answer, Miss):
            missed = branch.on_not_found(
                answer.reason, answer.text, now, unreachable=own.unreachable, retry_ms=answer.retry_ms,
                others=self._has_others_to_ask(branch),
            )  # fmt: skip
            return [*missed, *self._ask_others(branch, now)]
        neighbour = self._discovery.positive_entry(answer.request, now)
        assert neighbour is not None, "FOUND has just made the entry"
        return branch.on_found(Candidates([NodeParent(neighbour)]), now)

    def _has_others_to_ask(self, branch: Branch) -> bool:
        """Return whether those below had better wait: this node is offered others, and they are not.

        Not below a rendezvous point: whoever has a way without it is below.
        """
        return self._neighbours.seeks and not branch.is_sent_away and not self._root.is_rendezvous

    def _ask_others(self, branch: Branch, now: float) -> list[Action]:
        """Have a client search on among those that it has been told of, and a node have some offered."""
        if not self._neighbours.is_leaf:
            sought = branch.state in SEEKING and not branch.awaits_parent(now)
            return self._neighbours.seek(branch.content, now) if sought else []
        if branch.state not in LOOKING:
            return []
        met = self._neighbours.meet(now)
        if met and branch.search is not None:
            branch.search.on_met(now)
        return met
