"""A content's children: who waits, who is taken in, who is sent away."""

import pytest

from mcast.overlay import actions as do
from mcast.overlay import admission as admission_module
from mcast.overlay.actions import LOCAL, SearchFailure
from mcast.overlay.admission import Admission, refusal
from mcast.overlay.events import ConnectionGone, Departure, StreamReceived
from mcast.shares import UNCOUNTED
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, MissReason, StopReason
from overlay.cores import fed_node, misses
from overlay.messages import N1, N2, OTHER_VIEWER, R1, R2, R3, RP, stream

HERE, THERE = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
N_ID = b"\xff" * 16  # an id that may wait behind any


def test_a_stream_waits_only_behind_a_smaller_request_id() -> None:
    admission = Admission("news")
    assert admission.wait_behind(R1, stream(R2), 1) == []
    assert admission.wait_behind(R2, stream(R2), 2) == [do.Reply(2, refusal(stream(R2), MissReason.BUSY))]
    assert misses(admission.wait_behind(R2, stream(R1), 3)) == [MissReason.BUSY]
    assert list(admission.waiters) == [1]


def test_the_local_child_waits_behind_anything_as_nobody_waits_for_it() -> None:
    admission = Admission("news")
    assert admission.wait_behind(R3, stream(bytes(16)), LOCAL) == []
    assert admission.holds(LOCAL)


def test_all_who_wait_are_taken_in_at_once() -> None:
    admission = Admission("news")
    admission.waiters = {1: stream(R1), LOCAL: stream(bytes(16))}
    assert admission.admit_all((RP, N1), 4) == [
        do.Accept(1, stream(R1), (RP, N1), 4),
        do.Accept(LOCAL, stream(bytes(16)), (RP, N1), 4),
    ]
    assert (set(admission.children), admission.waiters) == ({1, LOCAL}, {})


def test_who_is_on_the_path_is_refused() -> None:
    admission = Admission("news")
    actions = admission.admit(stream(R2, sender=RP), 1, (RP, N1), 1)
    assert (misses(actions), admission.is_empty) == ([MissReason.LOOP], True)


def test_who_would_be_told_a_longer_path_than_a_port_holds_is_refused() -> None:
    longest = (RP, *(Identity.node(f"m{number}") for number in range(1, MAX_PATH)))
    admission = Admission("news")
    assert misses(admission.admit(stream(R1), 1, (*longest, N1), 1)) == [MissReason.FULL]
    assert admission.admit(stream(R1), LOCAL, (*longest, N1), 1) != []
    assert misses(admission.admit(stream(R2), 2, longest, 1)) == []


def test_a_client_s_own_output_is_taken_in_though_the_client_is_on_the_path() -> None:
    admission = Admission("news")
    actions = admission.admit(stream(sender=N2), LOCAL, (RP, N1, N2), 1)
    assert isinstance(actions[0], do.Accept)


def test_children_and_who_waits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "MAX_CHILDREN", 2)
    admission = Admission("news")
    for connection in (1, 2):
        admission.wait_behind(bytes(16), stream(), connection, HERE)
    assert misses(admission.wait_behind(bytes(16), stream(), 3, HERE)) == [MissReason.FULL]
    admission.admit_all((RP, N1), 1)
    assert misses(admission.admit(stream(), 3, (RP, N1), 1, THERE)) == [MissReason.FULL]
    assert len(admission.children) == 2


def test_an_address_that_takes_all_that_it_may_leaves_room_for_others_and_for_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "MAX_CHILDREN", 64)
    admission, path, asked = Admission("news"), (RP, N1), stream(N_ID)
    sources = [bytes([10, 0, 0, number]) for number in range(1, 5)]
    crowd = iter(range(1, 1000))
    for source in sources:  # first as who waits
        while not misses(admission.wait_behind(R1, asked, next(crowd), source)):
            pass
    assert len(admission.waiters) == 64
    assert misses(admission.wait_behind(R1, asked, 1000, b"fifth")) == [MissReason.FULL]
    assert admission.wait_behind(R1, asked, 1001, UNCOUNTED) == []
    admission.admit_all(path, 1)  # then as children
    assert len(admission.children) == 65
    assert misses(admission.admit(asked, 1002, path, 1, sources[0])) == [MissReason.FULL]
    assert not misses(admission.admit(asked, 1003, path, 1, UNCOUNTED))
    own = [number for number in admission.children if number < 20]
    admission.remove(own[0])
    admission.end(own[1:17], StopReason.CUT, None, "")
    assert not misses(admission.admit(asked, 1004, path, 1, b"fifth"))


def test_an_address_without_others_has_half_of_the_places_and_a_refusal_gives_those_who_wait_theirs_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "MAX_CHILDREN", 64)
    admission = Admission("news")
    for _ in range(2):
        waiting = sum(not misses(admission.wait_behind(R1, stream(N_ID), n, HERE)) for n in range(1, 100))
        assert waiting == len(admission.waiters) == 32
        assert len(admission.refuse_all(MissReason.GONE, "", None)) == 32


def test_a_node_counts_who_asks_it_by_where_he_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "MAX_CHILDREN", 64)
    core, now = fed_node(), 1.0

    def comes(number: int, source: bytes) -> list[MissReason]:
        request = number.to_bytes(16, "big")
        asked = stream(request, sender=Identity.client(request))
        return misses(core.handle(StreamReceived(number, asked, source), now))

    assert sum(not comes(number, HERE) for number in range(10, 90)) == 31  # and the first, of no source
    assert (comes(100, HERE), comes(101, THERE), comes(102, UNCOUNTED)) == ([MissReason.FULL], [], [])
    core.handle(ConnectionGone(101, Departure.LOST), now)
    core.handle(ConnectionGone(102, Departure.LOST), now)
    core.handle(ConnectionGone(10, Departure.LOST), now)
    assert comes(103, HERE) == []


def test_a_thousand_viewers_behind_one_address_get_in() -> None:
    admission = Admission("news")
    for connection in range(1, 1001):
        assert not misses(admission.admit(stream(), connection, (RP, N1), 1, HERE))


def test_a_child_is_forgotten_wherever_it_stands() -> None:
    admission = Admission("news", waiters={1: stream(R1)}, children={2: stream(R2)})
    assert not admission.remove(1)
    assert admission.remove(2)
    assert not admission.remove(3)
    assert admission.is_empty


def test_who_waited_in_vain_is_told_by_an_answer_and_the_local_child_by_a_failure() -> None:
    failure = SearchFailure(MissReason.CUT, "why", 3)
    waiters = {1: stream(R1), LOCAL: stream(bytes(16))}
    admission = Admission("news", waiters=dict(waiters))
    reply, fail = admission.refuse_all(MissReason.CUT, "why", failure)
    assert reply == do.Reply(1, refusal(stream(R1), MissReason.CUT, "why"))
    assert fail == do.Fail("news", failure)
    unsearched = Admission("news", waiters=dict(waiters)).refuse_all(MissReason.GONE, "leaving", None)
    assert unsearched[1] == do.Fail("news", SearchFailure(MissReason.GONE, "leaving", 0))


@pytest.mark.parametrize("reason", [MissReason.CUT, MissReason.GONE], ids=lambda r: r.name)
def test_the_local_child_is_refused_by_a_failure_as_it_has_no_request(reason: MissReason) -> None:
    admission = Admission("news")
    assert admission.refuse(stream(), LOCAL, reason, "why") == do.Fail(
        "news", SearchFailure(reason, "why", 0)
    )
    assert admission.refuse(stream(), 3, reason) == do.Reply(3, refusal(stream(), reason))


def test_news_goes_to_every_child() -> None:
    admission = Admission("news", children={1: stream(R1), 2: stream(R2)})
    assert admission.tell_all((RP, N1), 3, cut=True) == [
        do.Update(1, "news", (RP, N1), 3, cut=True),
        do.Update(2, "news", (RP, N1), 3, cut=True),
    ]


def test_some_children_are_sent_away_and_the_others_stay() -> None:
    admission = Admission("news", children={1: stream(R1), 2: stream(R2, sender=OTHER_VIEWER)})
    (end,) = admission.end((2, 9), StopReason.END, 99, "over")
    assert isinstance(end, do.End)
    assert (end.connection, end.stop.request, end.stop.content) == (2, R2, "news")
    assert (end.stop.reason, end.stop.last, end.stop.text) == (StopReason.END, 99, "over")
    assert list(admission.children) == [1]
