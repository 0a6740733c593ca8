"""The looking for a parent of one content, whoever it is for: candidates, one after another, and floods.

A flood of the search (search.py), a spare that has just said that it is fed, or the state itself names
candidates. When the last of them has refused, or says nothing, the search goes on or ends.
"""

from mcast.overlay.actions import LOCAL, Action, Await, Parent
from mcast.overlay.branch_data import Why
from mcast.overlay.candidates import SPARE_PATIENCE, Candidates
from mcast.overlay.events import Feed
from mcast.overlay.table import FLOODING, SEEKING, Input, State
from mcast.overlay.transitions import REPAIR_WAIT_SECONDS, Transitions
from mcast.wire.node import REQUEST_ID_SIZE, MissReason


class Seeking(Transitions):
    """One content, as far as somebody is looked for who feeds it. Times are monotonic seconds."""

    @property
    def is_searching(self) -> bool:
        """Return whether floods are to find a parent."""
        return self.state in FLOODING

    @property
    def is_first_flood(self) -> bool:
        """Return whether no flood of the search has failed yet."""
        return self.search is None or not self.search.has_failed

    def awaits_parent(self, now: float) -> bool:
        """Return whether a parent that is cut off itself may still find a way for all below it."""
        cut_at = self.trouble.cut_at
        if self.primary is None or cut_at is None or now >= cut_at + REPAIR_WAIT_SECONDS:
            return False
        return self.trouble.cut_by_word or self.upstreams[self.primary].feed in (Feed.CUT, Feed.NO_WAY)

    def begin_flood(self, now: float) -> bytes | None:
        """Return the id of the flood that is to begin now; None if none is."""
        return self.search.begin(now) if self.search is not None and self.is_searching else None

    def on_found(self, candidates: Candidates, now: float) -> list[Action]:
        """Take in whom the search has found."""
        assert self.search is not None
        self.request, self.candidates = self.search.request, candidates
        if self.state in SEEKING and not self.going_home:
            candidates.hurry()
        return self.take(Input.FOUND, Why(now))

    def on_spare(self, parent: Parent, now: float) -> list[Action]:
        """Ask a neighbour that has just said that it is fed, if nobody is being asked now."""
        if self.state not in SEEKING or self.search is None or not self.candidates.is_unused:
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
        others: bool = False,
    ) -> list[Action]:
        """Take in that a flood of the search has found nobody.

        If there are `others` to be asked next, those below are not told so yet.
        """
        assert self.search is not None
        if reason is not MissReason.BUSY:
            self.failed.clear()  # nobody else is left
        failure = self.search.on_missed(reason, text, now, unreachable=unreachable, retry_ms=retry_ms)
        goes_on = others and self.state in SEEKING and not self.search.is_vain
        happened = Input.FAILED if failure is not None else Input.MISSED if goes_on else Input.NOWHERE
        why = Why(now, text, refuse=reason, retry_ms=retry_ms, failure=failure)
        return [*self._awaited(why, unreachable=unreachable), *self.take(happened, why)]

    def _pass_over(self, reason: MissReason, text: str, now: float, retry_ms: int) -> list[Action]:
        """Go on after a refusal: to the next candidate, to the others that were asked, to the search."""
        if self.candidates:
            return self.take(Input.PASSED_OVER, Why(now, text))
        if self.state is State.JOINING and self.upstreams:
            return []  # asked beside it, and may still answer
        if self.state is State.PAIRING and len(self.upstreams) > 1:
            return []  # the same
        if self.state in SEEKING and self.candidates.is_unused:
            return []  # it was late, so the search goes on already
        return self._no_candidate(reason, text, now, retry_ms)

    def _no_candidate(self, reason: MissReason, text: str, now: float, retry_ms: int = 0) -> list[Action]:
        self.candidates = Candidates(())
        if self.going_home:
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
