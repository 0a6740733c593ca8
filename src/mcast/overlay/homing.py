"""The way home: a stream that comes by a link beyond the layout's goes back to one of the layout's links.

A quiet flood, among the neighbours of the layout alone, looks for a way from time to time. What it finds is
asked *beside* the present parent, which is left when the other one feeds this node. Of two parents that are
wanted all the time, the one that is no neighbour is left; of two such, the second one, and then home is
looked for.

A node that the layout has taken off the list of rendezvous points goes home in the same way, from its server.
Where the only way leads through its own children, it goes on as the root of what streams already.
"""

from collections.abc import Iterable, Mapping, Set

from mcast.overlay.actions import Action, NodeParent, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import BranchData, Why
from mcast.overlay.candidates import Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.discovery import Discovery, Outcome
from mcast.overlay.table import Input, State
from mcast.wire.identity import Identity
from mcast.wire.node import REQUEST_ID_SIZE, Found, Miss


def strays(branch: BranchData, own: Set[str]) -> list[str]:
    """Return the parents of a branch that are not among this node's own neighbours, the primary one first.

    One that is only being tried, or left, is no parent.
    """
    ids = [] if branch.primary is None else [branch.primary]
    if branch.state is State.DOUBLED and branch.wish.parents > 1:
        ids += branch.others
    entries = (branch.upstreams[upstream] for upstream in ids)
    parents = (entry.parent for entry in entries if entry.accepted)
    return [parent.name for parent in parents if isinstance(parent, NodeParent) and parent.name not in own]


def is_at_server(branch: BranchData) -> bool:
    """Return whether a branch comes from a server, as at a rendezvous point."""
    return branch.primary is not None and isinstance(branch.upstreams[branch.primary].parent, ServerParent)


def part_pair(branch: Branch, own: Set[str], now: float) -> list[Action]:
    """Leave one of two parents, if they are wanted all the time and one of them at least is no neighbour."""
    if branch.state is not State.DOUBLED or branch.wish.parents < 2 or branch.primary is None:
        return []
    primary, astray = branch.upstreams[branch.primary].parent, strays(branch, own)
    is_primary_alone = [NodeParent(name) for name in astray] == [primary]
    return branch.take(Input.OUTDONE if is_primary_alone else Input.OTHER_OUTDONE, Why(now))


def look(
    discovery: Discovery, strayed: Iterable[Branch], neighbours: Mapping[str, float], chance: Chance,
    now: float,
) -> Iterable[Outcome]:  # fmt: skip
    """Flood for the contents that have strayed."""
    for branch in strayed:
        yield from part_pair(branch, neighbours.keys(), now)
        if not strays(branch, neighbours.keys()) and not is_at_server(branch):
            continue
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
    branch.going_home = True
    actions = branch.take(Input.LEAVES, Why(now, "there is a better one", upstream=branch.primary))
    if branch.search is None:
        return actions  # a spare one is asked
    branch.search.take_over(request)
    return [*actions, *branch.on_found(candidates, now)]
