"""Which server a content comes from at a rendezvous point, as people are told it.

    server_passed_over   nobody is fed yet, and another server is asked in the place of one that is no help
    serves               a server has been taken: at first, after a failure, after a move
    server_failover      the same, in the place of another one that has failed
    better_way           the same, in the place of one that still works (server_moves.py)

A failure is told when another server *has been taken*: those that are asked may refuse, again and again.
"""

from mcast.overlay.actions import Announce, Parent, ServerParent
from mcast.overlay.branch_data import BranchData


def passed_over(branch: BranchData, before: Parent | None, parent: Parent, cause: str) -> list[Announce]:
    """Say that another server is asked than the one before, if that is so."""
    if not isinstance(before, ServerParent) or not isinstance(parent, ServerParent) or before == parent:
        return []
    text = f"[{branch.content}] asks {parent} instead of {before}: {cause}"
    return [Announce("server_passed_over", text, _from_to(branch, before, parent, cause))]


def taken(branch: BranchData, parent: Parent, cause: str = "") -> list[Announce]:
    """Say which server feeds the content now, if one does; `cause` is what was wrong with the one before."""
    if not isinstance(parent, ServerParent):
        return []
    before, branch.served_by = branch.served_by, parent
    fields = (("content", branch.content), ("server", parent.address))
    serves = Announce("serves", f"[{branch.content}] streams from {parent}", fields)
    if before is None or before.address == parent.address:
        return [serves]
    if branch.move is not None and branch.move.server == parent:
        why = branch.move.why
        told = (("content", branch.content), ("parent", str(parent)), ("before", str(before)), ("why", why))
        return [
            Announce("better_way", f"[{branch.content}] moves from {before} to {parent}: {why}", told),
            serves,
        ]
    text = f"[{branch.content}] goes on with {parent} instead of {before}: {cause}"
    return [Announce("server_failover", text, _from_to(branch, before, parent, cause)), serves]


def _from_to(
    branch: BranchData, before: ServerParent, parent: ServerParent, cause: str
) -> tuple[tuple[str, object], ...]:
    return ("content", branch.content), ("server", before.address), ("to", parent.address), ("cause", cause)
