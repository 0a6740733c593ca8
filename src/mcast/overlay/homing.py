"""The way home: a stream that comes by a link beyond the layout's goes back to one of the layout's links.

A quiet flood, among the neighbours of the layout alone, looks for a way from time to time. What it finds is
asked *beside* the present parent, which is left when the other one feeds this node.
"""

from collections.abc import Iterable, Mapping

from mcast.overlay.actions import Action, NodeParent
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import Why
from mcast.overlay.candidates import Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.discovery import Discovery, Outcome
from mcast.overlay.table import Input, State
from mcast.wire.identity import Identity
from mcast.wire.node import REQUEST_ID_SIZE, Found, Miss


def look(
    discovery: Discovery, strayed: Iterable[Branch], neighbours: Mapping[str, float], chance: Chance,
    now: float,
) -> Iterable[Outcome]:  # fmt: skip
    """Flood for the contents that have strayed."""
    for branch in strayed:
        request = chance.randbytes(REQUEST_ID_SIZE)
        # Nobody is excluded but the children: the way may well lead by the present parent.
        askable = {n: ms for n, ms in neighbours.items() if Identity.node(n) not in branch.below}
        yield from discovery.search(branch.content, request, (), askable, now, homing=True)


def on_answer(
    discovery: Discovery, branch: Branch | None, answer: Found | Miss, now: float
) -> list[Action]:  # fmt: skip
    """Take in what has come of such a flood."""
    if branch is None or isinstance(answer, Miss):
        return []
    neighbour = discovery.positive_entry(answer.request, now)
    assert neighbour is not None, "FOUND has just made the entry"
    if Identity.node(neighbour) in branch.excluded:
        return []  # the parent has become a neighbour
    return _go_home(branch, Candidates([NodeParent(neighbour)]), answer.request, now)


def _go_home(branch: Branch, candidates: Candidates, request: bytes, now: float) -> list[Action]:
    """Go on at another parent, found by a flood of this id, though nothing is wrong with the present one.

    It is left when the other one feeds this node; if that one refuses, it stays.
    """
    if branch.state is not State.FED:
        return []
    branch.moving = True
    actions = branch.take(Input.LEAVES, Why(now, "there is a better one", upstream=branch.primary))
    if branch.search is None:
        return actions  # a spare one is asked
    branch.search.take_over(request)
    return [*actions, *branch.on_found(candidates, now)]
