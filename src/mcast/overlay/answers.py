"""What a node that takes part in a content answers to a DISC for it."""

from mcast.overlay.admission import CUT_RETRY_MS, cut_off
from mcast.overlay.branch import Branch
from mcast.overlay.discovery import found, miss
from mcast.overlay.table import State
from mcast.wire.node import Disc, Found, Miss, MissReason


def answer_of(branch: Branch, disc: Disc) -> Found | Miss | None:
    """Return what this node answers by itself; None if it must ask others."""
    match branch.state:
        # What others could offer would not help: a STREAM that comes through here is refused.
        case State.CUT | State.REPAIRING:
            # It passes, one way or the other. But who has been asked alone is not the only one to ask.
            return miss(disc, MissReason.CUT, cut_off(branch.me), 0 if disc.scoped else CUT_RETRY_MS)
        case State.DOUBTED:
            return miss(disc, MissReason.BUSY, "its parent is suspected")
        case State.FED | State.PAIRING | State.DOUBLED | State.LINGERING:
            if disc.asker in branch.path:
                return miss(disc, MissReason.LOOP)
            return found(disc, branch.me)
        case State.ENDING | State.HANDOVER:
            return miss(disc, MissReason.GONE, "the content is ending")
    return None


def is_below_excluded(branch: Branch | None, disc: Disc) -> bool:
    """Return whether this node is fed by way of somebody to whom the request should not lead."""
    return branch is not None and not set(disc.excluded).isdisjoint(branch.path)
