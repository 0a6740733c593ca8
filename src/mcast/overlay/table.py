"""The states of one content at one node, and what leads from one to the next.

    ABSENT      nobody here takes it
    SEARCHING   children wait; neighbours are asked who can give it
    JOINING     children wait; one or more parents have been asked to feed this node
    FED         a parent brings media, or says that media is to come; children get it
    CUT         the parent brings nothing: children are told, and nobody new is taken in
    ENDING      the content is over above; its last datagrams are on the way to the children

The first child begins a branch: where it is known who is to be asked (the positive entry of the
child's request, or a server) by ROUTED, else by WANTED, which searches. The last child to leave ends
it, and so does a parent whose end is not the content's. ABSENT is no object: a branch that comes
there is forgotten.

Every cell of the table is one of three: a transition, IGNORED (it may well come, and means nothing
here) or absent from both, which is impossible: the caller has a bug. `Input`s are decided from the
events in branch.py; a `Step` is one method there.

A search that goes on while children are fed (repair) will be a state of its own between CUT and
FED: all it needs is in place, as upstreams are named and may be two.
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
    CUT = auto()
    ENDING = auto()


class Input(Enum):
    """What has happened, as far as it matters to a branch."""

    WANTED = "the first child comes; who could feed it is not known"
    ROUTED = "the first child comes; who is to be asked is known"
    ASKED = "a further child comes"
    FOUND = "a neighbour has a way"
    FAILED = "the search is over without a parent"
    LATE = "the parents asked say nothing, and there is another to ask"
    ACCEPTED = "a parent has taken this node in"
    PASSED_OVER = "a parent has refused, and there is another to ask"
    REFUSED = "the last parent has refused"
    MISSED = "the last parent has refused, and the search goes on"
    NEWS = "the parent's path has changed"
    FEEDS = "media comes, or is to come"
    STARVES = "no media comes"
    LOST = "the parent has gone, or has ended the stream"
    OVER = "the content is over"
    DRAINED = "a child has got everything to the end"
    EMPTIED = "the last child has left"
    EXPIRED = "the state has lasted as long as it may"
    LEAVING = "this process is about to end"


class Step(Enum):
    """What is done on the way from one state to the next; each is a method of `Branch`."""

    SEARCH = "look for a parent"
    ASK_NEXT = "ask the next candidate"
    WAIT_BEHIND = "let the child wait, or refuse it as busy"
    ADMIT = "take the child in"
    ADMIT_ALL = "take in all who wait"
    REFUSE_CUT = "refuse the child: cut off"
    REFUSE_GONE = "refuse the child: over"
    REFUSE_ALL = "refuse all who wait"
    RECEIVE = "open the relay on the parent that has answered"
    RENEW = "take over the parent's path, and tell the children"
    TELL_CUT = "tell the children that no media comes"
    TELL_FED = "tell the children that media comes again"
    TELL_LOST = "say that the parent is lost"
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


_STOP_FEEDING = (Step.END_ALL, Step.LEAVE_ALL, Step.CLOSE)

TABLE: Mapping[State, Mapping[Input, Transition]] = {
    State.ABSENT: {
        Input.WANTED: _to(State.SEARCHING, Step.SEARCH),
        Input.ROUTED: _to(State.JOINING, Step.ASK_NEXT),
    },
    State.SEARCHING: {
        Input.ASKED: _to(State.SEARCHING, Step.WAIT_BEHIND),
        Input.FOUND: _to(State.JOINING, Step.ASK_NEXT),
        Input.FAILED: _to(State.ABSENT, Step.REFUSE_ALL),
        Input.EMPTIED: _to(State.ABSENT),
        Input.LEAVING: _to(State.ABSENT, Step.REFUSE_ALL),
    },
    State.JOINING: {
        Input.ASKED: _to(State.JOINING, Step.WAIT_BEHIND),
        Input.LATE: _to(State.JOINING, Step.ASK_NEXT),
        Input.PASSED_OVER: _to(State.JOINING, Step.ASK_NEXT),
        Input.ACCEPTED: _to(State.FED, Step.RECEIVE, Step.ADMIT_ALL),
        Input.MISSED: _to(State.SEARCHING, Step.LEAVE_ALL),
        Input.REFUSED: _to(State.ABSENT, Step.REFUSE_ALL, Step.LEAVE_ALL),
        Input.FAILED: _to(State.ABSENT, Step.REFUSE_ALL, Step.LEAVE_ALL),
        Input.EMPTIED: _to(State.ABSENT, Step.LEAVE_ALL),
        Input.LEAVING: _to(State.ABSENT, Step.REFUSE_ALL, Step.LEAVE_ALL),
    },
    State.FED: {
        Input.ASKED: _to(State.FED, Step.ADMIT),
        Input.NEWS: _to(State.FED, Step.RENEW),
        Input.STARVES: _to(State.CUT, Step.TELL_CUT),
        Input.LOST: _to(State.ABSENT, Step.TELL_LOST, *_STOP_FEEDING),
        Input.OVER: _to(State.ENDING, Step.AWAIT_DRAIN),
        Input.EMPTIED: _to(State.ABSENT, Step.LEAVE_ALL, Step.CLOSE),
        Input.LEAVING: _to(State.ABSENT, *_STOP_FEEDING),
    },
    State.CUT: {
        Input.ASKED: _to(State.CUT, Step.REFUSE_CUT),
        Input.NEWS: _to(State.CUT, Step.RENEW),
        Input.FEEDS: _to(State.FED, Step.TELL_FED),
        Input.LOST: _to(State.ABSENT, Step.TELL_LOST, *_STOP_FEEDING),
        Input.OVER: _to(State.ENDING, Step.AWAIT_DRAIN),
        Input.EXPIRED: _to(State.ABSENT, Step.TELL_LOST, *_STOP_FEEDING),
        Input.EMPTIED: _to(State.ABSENT, Step.LEAVE_ALL, Step.CLOSE),
        Input.LEAVING: _to(State.ABSENT, *_STOP_FEEDING),
    },
    State.ENDING: {
        Input.ASKED: _to(State.ENDING, Step.REFUSE_GONE),
        Input.DRAINED: _to(State.ENDING, Step.END_DRAINED),
        Input.EXPIRED: _to(State.ABSENT, *_STOP_FEEDING),
        Input.EMPTIED: _to(State.ABSENT, Step.LEAVE_ALL, Step.CLOSE),
        Input.LEAVING: _to(State.ABSENT, *_STOP_FEEDING),
    },
}

IGNORED: Mapping[State, frozenset[Input]] = {
    State.ABSENT: frozenset(),
    State.SEARCHING: frozenset(),
    State.JOINING: frozenset(),
    State.FED: frozenset({Input.FEEDS}),
    State.CUT: frozenset({Input.STARVES}),
    # That no more media comes, and that the parent goes, is in order.
    State.ENDING: frozenset({Input.NEWS, Input.FEEDS, Input.STARVES, Input.LOST, Input.OVER}),
}
