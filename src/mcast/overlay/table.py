"""The states of one content at one node, and what leads from one to the next.

    ABSENT      nobody here takes it
    SEARCHING   children wait; neighbours are asked who can give it
    JOINING     children wait; one or more parents have been asked to feed this node
    FED         a parent brings media, or says that media is to come; children get it
    PAIRING     as FED, and nothing is wrong: another parent is asked, as two are wanted or one is better
    DOUBTED     as FED, but the parent is suspected: a second one is looked for, in addition
    DOUBLED     two parents feed this node; the better one will be kept, or both where two are wanted
    CUT         the parent says that it is cut off and repairs: children are told, and we wait for it
    REPAIRING   nothing comes and the parent is no help: another one is looked for
    LINGERING   the last child, a node, was lost: the stream runs on for a while, so that it can be taken over
    HANDOVER    this process is about to end: children are told, and fed until they have gone elsewhere
    ENDING      the content is over above; its last datagrams are on the way to the children

The first child begins a branch: where it is known who is to be asked (the positive entry of the
child's request, or a server) by ROUTED, else by WANTED, which searches. The last child to leave ends
it. ABSENT is no object: a branch that comes there is forgotten.

**Make before break.** Suspicion (DOUBTED) costs nothing that hurts: the second parent comes in
addition, as each number is forwarded once, whoever brings it. When both bring media (DOUBLED) the one
that is worse is left. So a scheduler's hiccup never tears a tree. Where nothing comes any more, the
first parent that brings media, the old one or another, is the parent from then on.

**Silence of TCP.** A parent whose media comes and whose control connection is silent is no parent that has
failed. It stays FED, and is asked anew beside that (renewal.py).

**Who repairs.** The node right below the failure. Those further down hear "cut, my parent repairs"
and wait (CUT); when it says that it finds no way, or after `REPAIR_WAIT_SECONDS`, they repair for
themselves. A node that looks for a parent takes nobody in who comes to resume: he would be waiting
for one who waits for him. Where it is only about to be fed (SEARCHING, JOINING) he is told to come again
in a moment: siblings that have lost one parent meet so at the one that takes its place.

Every cell of the table is one of three: a transition, IGNORED (it may well come, and means nothing
here) or absent from both, which is impossible: the caller has a bug. `Input`s are decided from the
events in branch.py, parents.py and seeking.py; a `Step` is one function in steps.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """Where a content stands at this node."""

    ABSENT = auto()
    SEARCHING = auto()
    JOINING = auto()
    FED = auto()
    PAIRING = auto()
    DOUBTED = auto()
    DOUBLED = auto()
    CUT = auto()
    REPAIRING = auto()
    LINGERING = auto()
    HANDOVER = auto()
    ENDING = auto()


# What several states have in common
FED = frozenset({State.FED, State.PAIRING, State.DOUBTED, State.DOUBLED, State.LINGERING})  # media comes
CUT_OFF = frozenset({State.CUT, State.REPAIRING})  # media came, and comes no more
SEEKING = frozenset({State.DOUBTED, State.REPAIRING})  # for another parent, as the present one is no help
FLOODING = frozenset({State.SEARCHING, State.PAIRING, *SEEKING})  # floods are to find a parent
ASKING = frozenset({State.JOINING, State.PAIRING, *SEEKING})  # candidates are asked
LOOKING = frozenset({State.SEARCHING, State.JOINING, *SEEKING})  # a client has no parent to rely on
PAIRABLE = frozenset({State.FED, State.DOUBLED})  # another second parent may be asked for
PAIRED = frozenset({State.PAIRING, State.DOUBLED})  # a second parent is asked in peace, or feeds this node


class Input(Enum):
    """What has happened, as far as it matters to a branch. "The parent" is the primary one."""

    WANTED = "the first child comes; who could feed it is not known"
    ROUTED = "the first child comes; who is to be asked is known"
    ASKED = "a further child comes"
    RESUMES = "a further child comes, to go on where another parent has left it"
    FOUND = "a neighbour has a way"
    FAILED = "the search is over without a parent"
    NOWHERE = "no way was found; the search goes on"
    PAIRS = "two parents are wanted, and it is time to ask for a second; or a better path is known"
    MOVES = "the other parent's path has proven better"
    LATE = "the parents asked say nothing, and there is another to ask"
    ACCEPTED = "a parent has taken this node in"
    BEGUN_ANEW = "a parent has taken this node in, with another stream, and nothing else is left"
    PASSED_OVER = "a parent has refused, and there is another to ask"
    REFUSED = "the last parent that could be asked has refused"
    MISSED = "nobody who could be asked has a way, and others are asked next"
    NEWS = "the parent's path has changed"
    FEEDS = "the parent's media comes, or is to come"
    OTHER_FEEDS = "another parent's media comes"
    SUSPECTED = "nothing has come from the parent for a short while"
    SILENT = "nothing has come from the parent for so long that it is sure to have failed"
    STARVES = "the parent says that it is cut off, and repairs"
    NO_WAY = "the parent says that it finds no way"
    LEAVES = "the parent says that it is about to end"
    LOST = "the parent has gone, or has ended the stream"
    OTHER_LOST = "another parent has gone, or has refused after all"
    OUTDONE = "the other parent brings everything sooner than the parent"
    OTHER_OUTDONE = "the parent brings everything sooner than the other one"
    OVER = "the content is over"
    DRAINED = "a child has got everything to the end"
    EMPTIED = "the last child has left"
    DESERTED = "the last child was lost, a node"
    EXPIRED = "the state has lasted as long as it may"
    LEAVING = "this process is about to end"


class Step(Enum):
    """What is done on the way from one state to the next; each is a function of steps.py."""

    SEARCH = "flood for a parent"
    SEEK = "look for another parent: the spare ones first"
    PAIR = "ask for a second parent"
    TAKE_SECOND = "say that there is a second parent; if its path is shorter, make it the primary one"
    TELL_BETTER = "say that a better path is taken"
    SEARCH_ON = "flood for another parent, as all spare ones have refused"
    STOP_SEEKING = "look for no other parent any more"
    ASK_NEXT = "ask the next candidate"
    WAIT_BEHIND = "let the child wait, or refuse it as busy"
    ADMIT = "take the child in"
    ADMIT_ALL = "take in all who wait"
    REFUSE_CUT = "refuse the child: cut off"
    REFUSE_BUSY = "refuse the child for a moment: its first parent may answer soon"
    REFUSE_GONE = "refuse the child: over, or about to go"
    REFUSE_ALL = "refuse all who wait"
    RECEIVE = "open the relay on the parent that has answered"
    RECEIVE_TOO = "receive from this parent in addition"
    DROP = "forget the parent"
    PROMOTE = "make the parent that feeds the primary one"
    LEAVE_OTHERS = "leave all parents but the primary one"
    BEGIN_ANEW = "give up the stream, send the children away, and open the relay on another stream"
    RENEW = "tell the children the path"
    TELL_CUT = "tell the children that no media comes; this node sees to it, or finds no way"
    NOTE_NO_WAY = (
        "keep in mind that no way was found, so that children hear of it at once if the parent fails;"
        " if it is about to end they are to look for another parent now"
    )
    TELL_NO_WAY = "tell the children that no way was found"
    TELL_FED = "tell the children that media comes again"
    TELL_DOUBTED = "say that nothing has come from the parent for a short while"
    TELL_LOST = "say that the parent is lost"
    TELL_SILENT = "say that the parent is lost, if it is left because nothing comes from it"
    TELL_LEAVING = "tell the children to look for another parent"
    AWAIT_DRAIN = "have each child watched until it has everything"
    END_DRAINED = "end the children that have everything"
    END_ALL = "end all children"
    LEAVE_ALL = "leave all parents"
    CLOSE = "close the relay"


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell: the next state, and what is done, in this order."""

    next: State
    steps: tuple[Step, ...] = ()


def _to(state: State, *steps: Step) -> Transition:
    return Transition(state, steps)


_END = _to(State.ABSENT, Step.END_ALL, Step.LEAVE_ALL, Step.CLOSE)
_PRUNE = _to(State.ABSENT, Step.LEAVE_ALL, Step.CLOSE)
_GIVE_UP = _to(State.ABSENT, Step.REFUSE_ALL, Step.LEAVE_ALL)
_HAND_OVER = _to(State.HANDOVER, Step.STOP_SEEKING, Step.TELL_LEAVING)
_CONTENT_OVER = _to(State.ENDING, Step.STOP_SEEKING, Step.AWAIT_DRAIN)
_LINGER = _to(State.LINGERING, Step.STOP_SEEKING, Step.LEAVE_OTHERS)
_SWITCH = _to(State.FED, Step.TELL_SILENT, Step.PROMOTE, Step.LEAVE_OTHERS, Step.RENEW)


def _seeking(state: State) -> dict[Input, Transition]:
    """Return the cells of looking for another parent, whatever else the state is about."""
    return {
        Input.FOUND: _to(state, Step.ASK_NEXT),
        Input.LATE: _to(state, Step.ASK_NEXT),
        Input.PASSED_OVER: _to(state, Step.ASK_NEXT),
        Input.ACCEPTED: _to(state, Step.RECEIVE_TOO),
        Input.REFUSED: _to(state, Step.SEARCH_ON),
        Input.MISSED: _to(state),
        Input.NOWHERE: _to(state),
        Input.OTHER_LOST: _to(state, Step.SEEK),
    }


_UNPAIRED = _to(State.FED, Step.STOP_SEEKING, Step.LEAVE_OTHERS)

TABLE: Mapping[State, Mapping[Input, Transition]] = {
    State.ABSENT: {
        Input.WANTED: _to(State.SEARCHING, Step.SEARCH),
        Input.ROUTED: _to(State.JOINING, Step.ASK_NEXT),
    },
    State.SEARCHING: {
        Input.ASKED: _to(State.SEARCHING, Step.WAIT_BEHIND),
        Input.RESUMES: _to(State.SEARCHING, Step.REFUSE_BUSY),
        Input.FOUND: _to(State.JOINING, Step.ASK_NEXT),
        Input.FAILED: _to(State.ABSENT, Step.REFUSE_ALL),
        Input.EMPTIED: _to(State.ABSENT),
        Input.DESERTED: _to(State.ABSENT),
        Input.LEAVING: _to(State.ABSENT, Step.REFUSE_ALL),
    },
    State.JOINING: {
        Input.ASKED: _to(State.JOINING, Step.WAIT_BEHIND),
        Input.RESUMES: _to(State.JOINING, Step.REFUSE_BUSY),
        Input.LATE: _to(State.JOINING, Step.ASK_NEXT),
        Input.PASSED_OVER: _to(State.JOINING, Step.ASK_NEXT),
        Input.ACCEPTED: _to(State.FED, Step.RECEIVE, Step.ADMIT_ALL),
        Input.MISSED: _to(State.SEARCHING, Step.LEAVE_ALL),
        Input.REFUSED: _GIVE_UP,
        Input.FAILED: _GIVE_UP,
        Input.EMPTIED: _to(State.ABSENT, Step.LEAVE_ALL),
        Input.DESERTED: _to(State.ABSENT, Step.LEAVE_ALL),
        Input.LEAVING: _GIVE_UP,
    },
    State.FED: {
        Input.ASKED: _to(State.FED, Step.ADMIT),
        Input.RESUMES: _to(State.FED, Step.ADMIT),
        Input.NEWS: _to(State.FED, Step.RENEW),
        Input.PAIRS: _to(State.PAIRING, Step.PAIR),
        Input.SUSPECTED: _to(State.DOUBTED, Step.TELL_DOUBTED, Step.SEEK),
        Input.LEAVES: _to(State.DOUBTED, Step.SEEK),
        # Both only where the subscription at the parent is being renewed.
        Input.ACCEPTED: _to(State.FED, Step.RECEIVE_TOO),
        Input.OTHER_FEEDS: _to(State.DOUBLED),
        Input.STARVES: _to(State.CUT, Step.LEAVE_OTHERS, Step.TELL_CUT),
        Input.NO_WAY: _to(State.REPAIRING, Step.TELL_CUT, Step.SEEK),
        Input.SILENT: _to(State.REPAIRING, Step.TELL_CUT, Step.SEEK),
        Input.LOST: _to(State.REPAIRING, Step.TELL_LOST, Step.DROP, Step.TELL_CUT, Step.SEEK),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _LINGER,
        Input.LEAVING: _HAND_OVER,
    },
    State.PAIRING: {
        Input.ASKED: _to(State.PAIRING, Step.ADMIT),
        Input.RESUMES: _to(State.PAIRING, Step.ADMIT),
        Input.NEWS: _to(State.PAIRING, Step.RENEW),
        Input.FOUND: _to(State.PAIRING, Step.ASK_NEXT),
        Input.LATE: _to(State.PAIRING, Step.ASK_NEXT),
        Input.PASSED_OVER: _to(State.PAIRING, Step.ASK_NEXT),
        Input.ACCEPTED: _to(State.PAIRING, Step.RECEIVE_TOO),
        Input.OTHER_FEEDS: _to(State.DOUBLED, Step.STOP_SEEKING, Step.TAKE_SECOND),
        Input.REFUSED: _UNPAIRED,
        Input.FAILED: _UNPAIRED,
        Input.OTHER_LOST: _UNPAIRED,
        Input.EXPIRED: _UNPAIRED,
        Input.SUSPECTED: _to(State.DOUBTED, Step.TELL_DOUBTED, Step.STOP_SEEKING, Step.SEEK),
        Input.LEAVES: _to(State.DOUBTED, Step.STOP_SEEKING, Step.SEEK),
        Input.STARVES: _to(State.CUT, Step.STOP_SEEKING, Step.LEAVE_OTHERS, Step.TELL_CUT),
        Input.NO_WAY: _to(State.REPAIRING, Step.STOP_SEEKING, Step.TELL_CUT, Step.SEEK),
        Input.SILENT: _to(State.REPAIRING, Step.STOP_SEEKING, Step.TELL_CUT, Step.SEEK),
        Input.LOST: _to(
            State.REPAIRING, Step.STOP_SEEKING, Step.TELL_LOST, Step.DROP, Step.TELL_CUT, Step.SEEK
        ),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _LINGER,
        Input.LEAVING: _HAND_OVER,
    },
    State.DOUBTED: {
        **_seeking(State.DOUBTED),
        Input.NOWHERE: _to(State.DOUBTED, Step.NOTE_NO_WAY),
        Input.ASKED: _to(State.DOUBTED, Step.ADMIT),
        Input.RESUMES: _to(State.DOUBTED, Step.REFUSE_CUT),
        Input.NEWS: _to(State.DOUBTED, Step.RENEW),
        Input.FEEDS: _to(State.FED, Step.STOP_SEEKING, Step.LEAVE_OTHERS),
        Input.OTHER_FEEDS: _to(State.DOUBLED, Step.STOP_SEEKING),
        # An SR has come: the parent lives, and knows more than we do.
        Input.STARVES: _to(State.CUT, Step.STOP_SEEKING, Step.LEAVE_OTHERS, Step.TELL_CUT),
        Input.NO_WAY: _to(State.REPAIRING, Step.TELL_CUT),
        Input.SILENT: _to(State.REPAIRING, Step.TELL_CUT),
        Input.LOST: _to(State.REPAIRING, Step.TELL_LOST, Step.DROP, Step.TELL_CUT),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _LINGER,
        Input.LEAVING: _HAND_OVER,
    },
    State.DOUBLED: {
        Input.ASKED: _to(State.DOUBLED, Step.ADMIT),
        Input.RESUMES: _to(State.DOUBLED, Step.ADMIT),
        Input.NEWS: _to(State.DOUBLED, Step.RENEW),
        Input.OTHER_OUTDONE: _to(State.FED, Step.LEAVE_OTHERS),
        Input.PAIRS: _to(State.PAIRING, Step.LEAVE_OTHERS, Step.PAIR),
        Input.MOVES: _to(State.DOUBLED, Step.TELL_BETTER, Step.PROMOTE, Step.RENEW),
        Input.OTHER_LOST: _to(State.FED),
        Input.OUTDONE: _SWITCH,
        Input.SILENT: _SWITCH,
        Input.STARVES: _SWITCH,
        Input.NO_WAY: _SWITCH,
        Input.LEAVES: _SWITCH,
        Input.LOST: _to(State.FED, Step.TELL_LOST, Step.PROMOTE, Step.LEAVE_OTHERS, Step.RENEW),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _LINGER,
        Input.LEAVING: _HAND_OVER,
    },
    State.CUT: {
        Input.ASKED: _to(State.CUT, Step.REFUSE_CUT),
        Input.RESUMES: _to(State.CUT, Step.REFUSE_CUT),
        Input.NEWS: _to(State.CUT, Step.RENEW),
        Input.FEEDS: _to(State.FED, Step.TELL_FED),
        Input.NO_WAY: _to(State.REPAIRING, Step.SEEK),
        Input.SILENT: _to(State.REPAIRING, Step.SEEK),
        Input.LEAVES: _to(State.REPAIRING, Step.SEEK),
        Input.LOST: _to(State.REPAIRING, Step.TELL_LOST, Step.DROP, Step.SEEK),
        Input.EXPIRED: _to(State.REPAIRING, Step.SEEK),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _PRUNE,
        Input.LEAVING: _END,
    },
    State.REPAIRING: {
        **_seeking(State.REPAIRING),
        Input.ASKED: _to(State.REPAIRING, Step.REFUSE_CUT),
        Input.RESUMES: _to(State.REPAIRING, Step.REFUSE_CUT),
        Input.NEWS: _to(State.REPAIRING, Step.RENEW),
        Input.FEEDS: _to(State.FED, Step.STOP_SEEKING, Step.LEAVE_OTHERS, Step.TELL_FED),
        Input.OTHER_FEEDS: _to(
            State.FED, Step.STOP_SEEKING, Step.TELL_SILENT, Step.PROMOTE, Step.LEAVE_OTHERS, Step.TELL_FED
        ),
        Input.NOWHERE: _to(State.REPAIRING, Step.TELL_NO_WAY),
        Input.BEGUN_ANEW: _to(State.FED, Step.TELL_SILENT, Step.BEGIN_ANEW),
        Input.LOST: _to(State.REPAIRING, Step.TELL_LOST, Step.DROP),
        Input.EXPIRED: _to(State.ABSENT, Step.TELL_SILENT, Step.END_ALL, Step.LEAVE_ALL, Step.CLOSE),
        Input.OVER: _CONTENT_OVER,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _PRUNE,
        Input.LEAVING: _END,
    },
    State.LINGERING: {
        Input.ASKED: _to(State.FED, Step.ADMIT),
        Input.RESUMES: _to(State.FED, Step.ADMIT),
        Input.STARVES: _PRUNE,
        Input.NO_WAY: _PRUNE,
        Input.SILENT: _PRUNE,
        Input.LEAVES: _PRUNE,
        Input.LOST: _PRUNE,
        Input.OVER: _PRUNE,
        Input.EXPIRED: _PRUNE,
        Input.LEAVING: _PRUNE,
    },
    State.HANDOVER: {
        Input.ASKED: _to(State.HANDOVER, Step.REFUSE_GONE),
        Input.RESUMES: _to(State.HANDOVER, Step.REFUSE_GONE),
        Input.EXPIRED: _END,
        Input.LOST: _END,
        Input.OVER: _END,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _PRUNE,
    },
    State.ENDING: {
        Input.ASKED: _to(State.ENDING, Step.REFUSE_GONE),
        Input.RESUMES: _to(State.ENDING, Step.REFUSE_GONE),
        Input.DRAINED: _to(State.ENDING, Step.END_DRAINED),
        Input.EXPIRED: _END,
        Input.EMPTIED: _PRUNE,
        Input.DESERTED: _PRUNE,
        Input.LEAVING: _END,
    },
}

_MEDIA = frozenset(
    {Input.FEEDS, Input.OTHER_FEEDS, Input.SUSPECTED, Input.SILENT, Input.STARVES, Input.NO_WAY}
)
_SECOND = frozenset({Input.OTHER_LOST, Input.OUTDONE, Input.OTHER_OUTDONE})

IGNORED: Mapping[State, frozenset[Input]] = {
    State.ABSENT: frozenset(),
    State.SEARCHING: frozenset({Input.NOWHERE}),
    State.JOINING: frozenset(),
    State.FED: frozenset({Input.FEEDS, *_SECOND}),
    State.PAIRING: frozenset({Input.FEEDS, Input.OUTDONE, Input.OTHER_OUTDONE}),
    State.DOUBTED: frozenset({Input.SUSPECTED, Input.LEAVES, Input.OUTDONE, Input.OTHER_OUTDONE}),
    State.DOUBLED: frozenset({Input.FEEDS, Input.OTHER_FEEDS, Input.SUSPECTED}),
    State.CUT: frozenset({Input.STARVES, Input.SUSPECTED, Input.OTHER_FEEDS, *_SECOND}),
    State.REPAIRING: frozenset(
        {
            Input.SUSPECTED,
            Input.SILENT,
            Input.STARVES,
            Input.NO_WAY,
            Input.LEAVES,
            Input.OUTDONE,
            Input.OTHER_OUTDONE,
        }
    ),
    State.LINGERING: frozenset({Input.FEEDS, Input.OTHER_FEEDS, Input.SUSPECTED, Input.NEWS, *_SECOND}),
    State.HANDOVER: frozenset({Input.NEWS, Input.LEAVES, Input.LEAVING, *_MEDIA, *_SECOND}),
    # That no more media comes, and that the parent goes, is in order.
    State.ENDING: frozenset({Input.NEWS, Input.LEAVES, Input.LOST, Input.OVER, *_MEDIA, *_SECOND}),
}
