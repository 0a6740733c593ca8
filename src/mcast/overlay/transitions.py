"""The step of one content from one state to the next, as the table says, and how long each state may last."""

from mcast.overlay.actions import Action, ServerParent, Subscribe
from mcast.overlay.better_paths import Trial
from mcast.overlay.branch_data import BranchData, Why
from mcast.overlay.pairing import PAIR_SECONDS
from mcast.overlay.steps import STEPS
from mcast.overlay.table import CUT_OFF, IGNORED, PAIRED, TABLE, Input, State

JOIN_SECONDS = 5.0
"""Until a parent must have answered STREAM: more than a TCP connect at 25 % loss."""
SERVER_JOIN_SECONDS = 4.5
"""Until one of the servers must have answered, all tries together: less than JOIN_SECONDS, so that the
rendezvous point tells its child why before the child gives up."""
REPAIR_WAIT_SECONDS = 1.0
"""How long a child waits for its parent's own repair: a search through the overlay, and the join after it."""
LINGER_SECONDS = 3.0
"""How long a stream outlives the loss of its last child: longer than anybody takes to find another way."""
HANDOVER_SECONDS = 0.75
"""What a node that leaves gives its children to go elsewhere: SIGTERM ends a program within 1 s."""
DRAIN_SECONDS = 2.0
"""How long the last datagrams of a content that ends may take to come, and to go on."""


class Transitions(BranchData):
    """What is known of one content, and the only way in which its state changes."""

    def take(self, happened: Input, why: Why) -> list[Action]:
        """Go from this state to the next as the table says; return what is to be done.

        Another parent is asked before anybody is told why: each word to a child or a log may cost a turn of
        the processor, and the gap is counted until the new parent's media comes.
        """
        cell = TABLE[self.state].get(happened)
        if cell is None:
            assert happened in IGNORED[self.state], f"[{self.content}] {happened} cannot come in {self.state}"
            return []
        if cell.next not in (State.DOUBTED, State.DOUBLED):
            self.going_home = False
        if cell.next in CUT_OFF:
            self.move = None  # the present one has failed: what it brings from now on counts again
        if cell.next is not self.state:
            self.deadline = self._deadline_of(cell.next, why.now)
            if cell.next not in PAIRED:
                self.trial = Trial()
            self.pairing.on_state(self.state, cell.next, why.now)
            self.state = cell.next
            self.replaced &= cell.next is not State.FED
        actions = [action for step in cell.steps for action in STEPS[step](self, why)]
        return sorted(actions, key=lambda action: not isinstance(action, Subscribe))

    def _prune(self, now: float, *, deserted: bool = False) -> list[Action]:
        """End what nobody takes any more; `deserted`, if a node was lost that others may be behind."""
        if self.state in (State.ABSENT, State.LINGERING) or not self.admission.is_empty:
            return []
        return self.take(Input.DESERTED if deserted else Input.EMPTIED, Why(now))

    def _deadline_of(self, state: State, now: float) -> float | None:
        match state:
            case State.JOINING:
                servers = isinstance(self.candidates.first, ServerParent)
                return now + (SERVER_JOIN_SECONDS if servers else JOIN_SECONDS)
            case State.PAIRING:
                return now + PAIR_SECONDS
            case State.CUT:
                return now + REPAIR_WAIT_SECONDS
            case State.REPAIRING:
                return now + self.give_up
            case State.LINGERING:
                return now + LINGER_SECONDS
            case State.HANDOVER:
                return now + HANDOVER_SECONDS
            case State.ENDING:
                return now + DRAIN_SECONDS
        return None
