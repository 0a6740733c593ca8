"""Which contents there are: who answers by itself, who hands the question on, and what is kept."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay import actions as do
from mcast.overlay.branch import Branch
from mcast.overlay.discovery import MAX_HOPS, MAX_TIME_MS
from mcast.overlay.events import (
    Answered,
    ConnectionGone,
    Departure,
    Introduced,
    LayoutChanged,
    ListReceived,
    ServerListed,
    TimePassed,
    Unasked,
)
from mcast.overlay.listing import FRESH_SECONDS, MAX_QUESTIONS
from mcast.overlay.neighbours import Neighbours
from mcast.overlay.node_core import NodeCore
from mcast.wire.content import ContentInfo, Readiness
from mcast.wire.frame import MAX_NODE_BODY
from mcast.wire.identity import Identity
from mcast.wire.node import ContentsPage, ListContents, Miss, MissReason
from mcast.wire.position import Position
from overlay.cores import SERVERS, add_viewer, fed_node, node, rendezvous
from overlay.simulation import Network

VIEWER, N2 = Identity.client(b"viewer----------"), Identity.node("n2")
R1 = b"1" * 16


def question(request: bytes = R1, after: str = "", hops: int = 0) -> ListContents:
    return ListContents(request=request, sender=VIEWER, after=after, remaining_ms=MAX_TIME_MS, hops=hops)


def page(*names: str, request: bytes = R1, more: bool = False, age_ms: int = 0) -> ContentsPage:
    contents = tuple(map(ContentInfo, names))
    return ContentsPage(request=request, contents=contents, more=more, age_ms=age_ms)


def replies(actions: list[do.Action]) -> list[ContentsPage | Miss]:
    found = [action.message for action in actions if isinstance(action, do.Reply)]
    return [message for message in found if isinstance(message, ContentsPage | Miss)]


def asked(actions: list[do.Action]) -> list[tuple[str, str]]:
    """Return who is asked now, and from which name on."""
    return [(a.neighbour, a.question.after) for a in actions if isinstance(a, do.AskList)]


def names(actions: list[do.Action]) -> list[str]:
    (answer,) = replies(actions)
    assert isinstance(answer, ContentsPage), answer
    return [info.name for info in answer.contents]


def reason(actions: list[do.Action]) -> MissReason:
    (answer,) = replies(actions)
    assert isinstance(answer, Miss), answer
    return answer.reason


# At the rendezvous point


def test_the_rendezvous_point_answers_with_all_servers_contents_by_name() -> None:
    core = rendezvous(servers=SERVERS[:2])
    core.handle(ServerListed(SERVERS[0], (ContentInfo("news"), ContentInfo("earth"))), 0.0)
    core.handle(ServerListed(SERVERS[1], (ContentInfo("earth"), ContentInfo("über"))), 0.0)
    assert names(core.handle(ListReceived(1, question()), 0.0)) == ["earth", "news", "über"]


def test_of_a_content_that_several_have_the_one_that_is_ready_is_told() -> None:
    core = rendezvous(servers=SERVERS[:2])
    core.handle(ServerListed(SERVERS[0], (ContentInfo("earth", readiness=Readiness.PREPARING),)), 0.0)
    core.handle(ServerListed(SERVERS[1], (ContentInfo("earth", format="h264"),)), 0.0)
    (answer,) = replies(core.handle(ListReceived(1, question()), 0.0))
    assert isinstance(answer, ContentsPage)
    assert answer.contents == (ContentInfo("earth", format="h264", viewers=0),)


def test_what_only_the_rendezvous_point_needs_is_left_out() -> None:
    core = rendezvous()
    info = ContentInfo("earth", format="f" * 5000, digest=bytes(32), running=(Position(1, 2),))
    core.handle(ServerListed(SERVERS[0], (info,)), 0.0)
    (answer,) = replies(core.handle(ListReceived(1, question()), 0.0))
    assert isinstance(answer, ContentsPage)
    assert answer.contents == (replace(info, format="f" * 200, digest=b"", running=(), viewers=0),)


@pytest.mark.parametrize("parents", [1, 2])
def test_of_each_content_it_is_told_how_many_watch_it_wherever_they_are(parents: int) -> None:
    ring = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "rp")]
    net = Network(ring, media=True, contents=("earth", "news"), parents=parents)
    for name in ("n1", "n2", "n2", "n3", "n4", "rp"):
        net.client(name)
    net.run(15)
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    assert viewers_told(net, "rp") == {"earth": 0, "news": 6}
    net.viewers[1].leave()
    net.run(15)
    assert viewers_told(net, "rp") == {"earth": 0, "news": 5}


def test_they_are_counted_once_a_second_however_much_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = Neighbours._viewers_below

    def counting(neighbours: Neighbours, branch: Branch) -> int:
        counted.append(count(neighbours, branch))
        return counted[-1]

    monkeypatch.setattr(Neighbours, "_viewers_below", counting)
    core = fed_node()
    counted.clear()
    for number in range(300):  # within three seconds
        add_viewer(core, 10 + number, 1.0 + number / 100)
    assert len(counted) == 3
    assert counted == sorted(counted)


def test_a_standby_tells_what_the_first_one_counts() -> None:
    links = [("rp", "rp2"), ("rp", "n1"), ("rp2", "n1")]
    net = Network(links, media=True, rendezvous=("rp", "rp2"))
    for name in ("n1", "n1", "rp2"):
        net.client(name)
    net.run(15)
    assert viewers_told(net, "rp2") == viewers_told(net, "rp") == {"news": 3}


def viewers_told(net: Network, name: str) -> dict[str, int | None]:
    (answer,) = replies(net.nodes[name].core.handle(ListReceived(10**6, question()), net.world.now))
    assert isinstance(answer, ContentsPage)
    return {info.name: info.viewers for info in answer.contents}


def test_a_server_that_has_not_answered_yet_is_told_beside_the_list() -> None:
    core = NodeCore(Identity.node("rp"), random.Random(1), rendezvous=True)
    core.handle(LayoutChanged((), SERVERS[:1]), 0.0)
    (answer,) = replies(core.handle(ListReceived(1, question()), 0.0))
    assert isinstance(answer, ContentsPage)
    assert SERVERS[0] in answer.text


@given(st.lists(st.text("abcé漢", min_size=1, max_size=80), max_size=600, unique=True))
def test_pages_fit_a_frame_and_together_hold_everything_once(contents: list[str]) -> None:
    core = rendezvous()
    core.handle(ServerListed(SERVERS[0], tuple(map(ContentInfo, contents))), 0.0)
    got: list[str] = []
    more = True
    while more:
        (answer,) = replies(core.handle(ListReceived(1, question(after=got[-1] if got else "")), 0.0))
        assert isinstance(answer, ContentsPage)
        assert len(answer.pack()) <= MAX_NODE_BODY
        got += [info.name for info in answer.contents]
        more = answer.more
    assert got == sorted(contents)


# On the way there


def test_a_node_asks_who_is_nearest_to_a_rendezvous_point_and_hands_the_answer_back() -> None:
    core = node(n2=1.0, n3=9.0)
    core.handle(Introduced("n3", 1, None), 0.0)
    core.handle(Introduced("n2", 2, None), 0.0)
    actions = core.handle(ListReceived(7, question(hops=1)), 0.0)
    (ask,) = [action for action in actions if isinstance(action, do.AskList)]
    assert (ask.neighbour, ask.question.hops, ask.question.sender) == ("n3", 2, core.me)
    assert 100 <= ask.question.remaining_ms < MAX_TIME_MS / 2
    assert names(core.handle(Answered("n3", page("earth", "news")), 0.1)) == ["earth", "news"]


def test_nobody_is_asked_who_has_asked() -> None:
    core = node(n2=1.0)
    asked_by_n2 = replace(question(), sender=N2)
    assert reason(core.handle(ListReceived(1, asked_by_n2), 0.0)) is MissReason.DEADLINE


def test_all_pages_are_fetched_before_the_first_is_answered() -> None:
    core = node(n2=1.0)
    core.handle(ListReceived(1, question(after="a")), 0.0)
    assert asked(core.handle(Answered("n2", page("a", "b", more=True)), 0.1)) == [("n2", "b")]
    assert names(core.handle(Answered("n2", page("c")), 0.2)) == ["b", "c"]


def test_one_that_never_comes_to_an_end_is_believed_no_further() -> None:
    core = node(n2=1.0)
    core.handle(ListReceived(1, question()), 0.0)
    core.handle(Answered("n2", page("b", more=True)), 0.1)
    assert names(core.handle(Answered("n2", page("a", more=True)), 0.2)) == ["b"]


def test_an_answer_is_kept_for_others_until_it_is_two_seconds_old() -> None:
    core = node(n2=1.0)
    core.handle(ListReceived(1, question()), 0.0)
    core.handle(Answered("n2", page("earth", age_ms=500)), 0.0)
    fresh = FRESH_SECONDS - 0.5
    (answer,) = replies(core.handle(ListReceived(2, question(b"2" * 16)), fresh - 0.1))
    assert isinstance(answer, ContentsPage)
    assert answer.age_ms == pytest.approx(1900)
    assert asked(core.handle(ListReceived(3, question(b"3" * 16)), fresh + 0.1)) == [("n2", "")]


@pytest.mark.parametrize("no", ["miss", "unasked", "silence"])
def test_if_one_cannot_tell_the_next_is_asked_and_then_the_asker_hears_why(no: str) -> None:
    core = node(n2=1.0, n3=9.0)
    core.handle(ListReceived(1, question()), 0.0)

    def refuse(neighbour: str, now: float) -> list[do.Action]:
        match no:
            case "miss":
                told = Miss(request=R1, content="", reason=MissReason.CUT, text="no way")
                return core.handle(Answered(neighbour, told), now)
            case "unasked":
                return core.handle(Unasked(neighbour, R1, "connection refused"), now)
            case _:
                actions = core.handle(TimePassed(), now)
                assert do.CancelAsks(R1, (neighbour,)) in actions
                return actions

    assert asked(refuse("n2", 2.0)) == [("n3", "")]
    (answer,) = replies(refuse("n3", 4.0))
    assert isinstance(answer, Miss)
    assert answer.text
    assert core.handle(Answered("n3", page("late")), 4.1) == []


def test_a_question_that_comes_again_by_another_way_is_not_handed_on_twice() -> None:
    core = node(n2=1.0)
    core.handle(ListReceived(1, question()), 0.0)
    assert reason(core.handle(ListReceived(2, question()), 0.0)) is MissReason.DUPLICATE


def test_a_question_that_came_too_far_is_handed_on_no_more() -> None:
    core = node(n2=1.0)
    assert reason(core.handle(ListReceived(1, question(hops=MAX_HOPS)), 0.0)) is MissReason.DEADLINE


def test_questions_in_progress_are_bounded_and_end_with_their_askers() -> None:
    core = node(n2=1.0)
    for number in range(MAX_QUESTIONS):
        core.handle(ListReceived(number + 1, question(number.to_bytes(16, "big"))), 0.0)
    assert reason(core.handle(ListReceived(999, question()), 0.0)) is MissReason.BUSY
    gone = core.handle(ConnectionGone(1, Departure.LOST), 0.1)
    assert gone == [do.CancelAsks(bytes(16), ("n2",))]
    assert asked(core.handle(ListReceived(999, question()), 0.2)) == [("n2", "")]
