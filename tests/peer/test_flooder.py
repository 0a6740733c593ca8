"""Neighbours: real connections to peers that answer, keep silent, hang up, or are not there."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from helpers import PATIENCE, Recorder, refuse_threads, wait_until
from mcast.net.connection import Connection, PeerGone
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Ask
from mcast.overlay.events import Answered, Event, RoundTripMeasured, Unasked
from mcast.peer.flooder import Flooder
from mcast.peer.neighbour import FURTHER_TIMING, MAX_IDLE, FlooderTiming, Neighbour
from mcast.wire.frame import Message
from mcast.wire.node import Disc, Found, MissReason
from mcast.wire.server import Wake
from roles.partners import Peer, disc, found, miss, read, silent_address

Meet = Callable[..., Neighbour]

QUICK = FlooderTiming(first_retry=0.02, last_retry=0.04)


class Posted:
    """Takes what is posted: answers in one list, round trips in another."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.round_trips: list[RoundTripMeasured] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, RoundTripMeasured):
            self.round_trips.append(event)
        else:
            self.events.append(event)

    def wait_for(self, count: int) -> list[Event]:
        wait_until(lambda: len(self.events) >= count, f"{count} events (there are {self.events})")
        return self.events


@pytest.fixture
def posted() -> Posted:
    return Posted()


@pytest.fixture
def meet(watcher: Watcher, posted: Posted, crash: Recorder) -> Iterator[Meet]:
    met: list[Neighbour] = []

    def meet(address: str, timing: FlooderTiming = QUICK) -> Neighbour:
        met.append(Neighbour("n2", address, watcher, posted, crash, timing))
        return met[-1]

    yield meet
    for neighbour in met:
        neighbour.stop()


def why_unasked(event: Event, asked: Disc) -> str:
    """Return why a question could not be asked, if that is what was posted."""
    assert isinstance(event, Unasked), event
    assert (event.neighbour, event.request) == ("n2", asked.request)
    return event.text


def closed(connection: Connection) -> bool:
    try:
        connection.receive(10)
    except PeerGone:
        return True
    return False


def test_a_warm_connection_waits_for_questions_and_is_used_again(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, connection = meet(peer.address), peer.accept()
    first, second = disc(), disc()
    neighbour.ask(first)
    assert read(connection, Disc) == first
    connection.send(found(first))
    assert posted.wait_for(1) == [Answered("n2", found(first))]
    assert len(posted.round_trips) >= 2  # of each connection, and with the answer
    assert {each.neighbour for each in posted.round_trips} == {"n2"}
    assert all(each.round_trip_ms > 0 for each in posted.round_trips)
    neighbour.ask(second)
    assert peer.question(Disc)[1] == second


def test_a_question_waits_for_a_connection(meet: Meet, peer: Peer, posted: Posted) -> None:
    neighbour = meet(peer.address)
    questions = [disc() for _ in range(3)]
    for question in questions:
        neighbour.ask(question)  # each takes a connection for itself
    asked = dict(peer.question(Disc) for _ in questions)
    assert len(asked) == 3
    assert {each.request for each in asked.values()} == {each.request for each in questions}
    assert posted.events == []


def test_who_is_not_there_is_told_at_once_and_tried_again(
    meet: Meet, posted: Posted, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    caplog.set_level("INFO")
    neighbour = meet(address)
    question = disc()
    neighbour.ask(question)
    assert "nobody answers" in why_unasked(posted.wait_for(1)[0], question)
    host, port = address.split(":")
    with socket.create_server((host, int(port))) as there:
        sock, _ = there.accept()
        sock.close()
    wait_until(lambda: "warm connection to n2" in caplog.text)
    assert caplog.text.count("waiting for neighbour n2: nobody answers") == 1


def test_a_cancelled_question_closes_its_connection_and_tells_nobody(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, connection = meet(peer.address), peer.accept()
    question, other = disc(), disc()
    neighbour.ask(question)
    read(connection, Disc)
    neighbour.cancel(question.request)
    neighbour.cancel(question.request)  # harmless when repeated
    assert closed(connection)
    neighbour.ask(other)
    again = peer.accept()
    assert read(again, Disc) == other
    again.send(miss(other, MissReason.ABSENT))
    assert posted.wait_for(1) == [Answered("n2", miss(other, MissReason.ABSENT))]


def test_a_question_that_waits_still_can_be_cancelled(meet: Meet, posted: Posted) -> None:
    with silent_address() as address:
        neighbour = meet(address, FlooderTiming(first_retry=0.02, last_retry=0.04, connect_timeout=0.05))
        question, other = disc(), disc()
        neighbour.ask(question)
        neighbour.cancel(question.request)
        neighbour.ask(other)
        why_unasked(posted.wait_for(1)[0], other)


class ListeningWatcher(Watcher):
    """Gives the callbacks to the test, which can so call them at any moment."""

    def __init__(self, crash: Recorder) -> None:
        super().__init__(crash)
        self.seen: list[tuple[Connection, Callable[[Message], None], Callable[[str], None]]] = []

    def watch(
        self, connection: Connection, on_message: Callable[[Message], None], on_gone: Callable[[str], None]
    ) -> None:
        super().watch(connection, on_message, on_gone)
        self.seen.append((connection, on_message, on_gone))


def test_an_answer_that_crosses_the_cancel_is_nobodys_fault(
    peer: Peer, posted: Posted, crash: Recorder
) -> None:
    with ListeningWatcher(crash) as watcher:
        neighbour = Neighbour("n2", peer.address, watcher, posted, crash, QUICK)
        connection, question = peer.accept(), disc()
        neighbour.ask(question)
        read(connection, Disc)
        neighbour.cancel(question.request)
        _, on_message, _ = watcher.seen[0]
        on_message(found(question))  # raises nothing
        assert posted.events == []
        neighbour.stop()


@pytest.mark.parametrize("message", [found(disc()), Wake()])
def test_what_was_not_asked_ends_the_connection(
    meet: Meet, peer: Peer, posted: Posted, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    meet(peer.address)
    connection = peer.accept()
    connection.send(message)
    assert closed(connection)
    peer.accept()  # and there is another one
    assert posted.events == []
    assert "breaks the protocol" in caplog.text


def test_a_connection_that_is_lost_answers_its_question(meet: Meet, peer: Peer, posted: Posted) -> None:
    neighbour, connection = meet(peer.address), peer.accept()
    question = disc()
    neighbour.ask(question)
    read(connection, Disc)
    connection.close()
    assert f"n2 ({peer.address})" in why_unasked(posted.wait_for(1)[0], question)


def test_a_neighbour_that_hangs_up_at_once_is_not_called_without_pauses(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, began = meet(peer.address, FlooderTiming(first_retry=0.1, last_retry=0.1)), time.monotonic()
    for _ in range(5):
        peer.accept().close()
    assert time.monotonic() - began > 4 * 0.05  # the least that a pause can be
    question = disc()
    neighbour.ask(question)
    peer.accept().close()
    why_unasked(posted.wait_for(1)[0], question)


def test_a_neighbour_that_restarts_is_called_at_once(meet: Meet, peer: Peer) -> None:
    meet(peer.address, FlooderTiming(first_retry=100.0, short_life=0.0))
    for _ in range(3):
        peer.accept().close()


def test_only_so_many_idle_connections_are_kept(meet: Meet, peer: Peer, posted: Posted) -> None:
    neighbour = meet(peer.address)
    questions = [disc() for _ in range(MAX_IDLE + 2)]
    for question in questions:
        neighbour.ask(question)
    asked = [peer.question(Disc) for _ in questions]
    for connection, question in asked:
        connection.send(found(question))
    posted.wait_for(len(questions))
    # One more may just have been made when the last answer came.
    kept = [f": {number} idle, 0 asking>" for number in (MAX_IDLE, MAX_IDLE + 1)]
    wait_until(lambda: any(text in repr(neighbour) for text in kept), "the surplus is closed")


def test_a_connection_that_is_taken_is_the_takers_alone(
    meet: Meet, peer: Peer, watcher: Watcher, posted: Posted
) -> None:
    neighbour, connection = meet(peer.address), peer.accept()
    wait_until(lambda: len(watcher) == 1)
    taken = neighbour.take()
    assert taken is not None
    connection.send(found(disc()))
    assert read(taken, type(found(disc())))
    neighbour.ask(question := disc())
    assert read(peer.accept(), Disc) == question  # on another one
    assert posted.events == []
    taken.close()


def test_without_an_idle_connection_there_is_none_to_take(meet: Meet) -> None:
    with silent_address() as address:
        neighbour = meet(address)
        assert neighbour.take() is None
        neighbour.stop()


def test_stop_answers_what_is_asked_and_what_waits(peer: Peer, watcher: Watcher, posted: Posted,
                                                   crash: Recorder) -> None:  # fmt: skip
    neighbour, connection = Neighbour("n2", peer.address, watcher, posted, crash, QUICK), peer.accept()
    neighbour.ask(asked := disc())
    read(connection, Disc)
    neighbour.stop()
    neighbour.ask(late := disc())
    assert posted.events == [
        Unasked("n2", asked.request, "n2 is no neighbour any more"),
        Unasked("n2", late.request, "n2 is no neighbour any more"),
    ]
    assert closed(connection)
    assert len(watcher) == 0


def test_stop_interrupts_a_connect_and_a_pause(
    watcher: Watcher, crash: Recorder, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.stop_listening()
    with silent_address() as silent:
        for address in (silent, peer.address):
            posted = Posted()
            neighbour = Neighbour("n2", address, watcher, posted, crash, FlooderTiming(first_retry=60.0))
            if address != silent:
                neighbour.ask(disc())
                posted.wait_for(1)
            neighbour.stop()
    assert "has not ended" not in caplog.text  # its thread, within the time that stop() waits


def test_stop_at_any_moment_of_a_start_ends_the_thread(
    peer: Peer, watcher: Watcher, posted: Posted, crash: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(60):
        neighbour = Neighbour("n2", peer.address, watcher, posted, crash, QUICK)
        neighbour.ask(disc())
        neighbour.stop()
    assert "has not ended" not in caplog.text  # a wake-up that is lost would let it wait


def test_the_layout_decides_who_is_a_neighbour(
    peer: Peer, other_peer: Peer, watcher: Watcher, posted: Posted, crash: Recorder
) -> None:
    around = Flooder(watcher, posted, crash, QUICK)
    around.update({"n2": peer.address, "n3": other_peer.address})
    assert (around.address("n2"), around.address("n4")) == (peer.address, None)
    before, stays = peer.accept(), other_peer.accept()
    around.update({"n2": other_peer.address, "n3": other_peer.address})
    assert closed(before)
    assert around.address("n2") == other_peer.address
    other_peer.accept()
    assert list(stays.poll_messages()) == []  # it lives
    around.update({})
    assert closed(stays)
    assert around.take("n3") is None
    question = disc()
    around.ask(Ask("n2", question))
    assert "no neighbour" in why_unasked(posted.wait_for(1)[0], question)
    around.cancel(question.request, ("n2",))
    around.stop()


def test_the_flooder_asks_cancels_and_gives_away_by_name(
    peer: Peer, other_peer: Peer, watcher: Watcher, posted: Posted, crash: Recorder
) -> None:
    around, question = Flooder(watcher, posted, crash, QUICK), disc()
    around.update({"n2": peer.address, "n3": other_peer.address})
    for name in ("n2", "n3"):
        around.ask(Ask(name, question))
    asked, other = peer.question(Disc)[0], other_peer.question(Disc)[0]
    around.cancel(question.request, ("n3",))
    assert closed(other)
    asked.send(found(question))
    assert posted.wait_for(1) == [Answered("n2", found(question))]
    while (taken := around.take("n2")) is not None and taken.local != asked.peer:
        taken.close()  # one that was made meanwhile
    assert taken is not None
    asked.send(found(question))
    assert read(taken, Found)
    taken.close()
    around.stop()


def test_who_is_met_can_be_asked_under_its_address_until_others_are_met(
    peer: Peer, other_peer: Peer, watcher: Watcher, posted: Posted, crash: Recorder
) -> None:
    around, question = Flooder(watcher, posted, crash, QUICK), disc()
    assert around.meet({peer.address: peer.address}) == []
    around.ask(Ask(peer.address, question))
    connection, _ = peer.question(Disc)
    connection.send(found(question))
    assert posted.wait_for(1) == [Answered(peer.address, found(question))]
    assert around.address(peer.address) == peer.address
    assert (
        around.meet({each.address: each.address for each in (peer, other_peer)}) == []
    )  # the first stays as it is
    assert list(connection.poll_messages()) == []
    gone = around.meet({other_peer.address: other_peer.address})
    assert [neighbour.address for neighbour in gone] == [peer.address]
    gone[0].stop()
    assert closed(connection)
    assert around.take(peer.address) is None
    stays = other_peer.accept()
    around.stop()
    assert closed(stays)


def test_who_is_met_and_gets_no_thread_is_not_asked(
    peer: Peer, watcher: Watcher, posted: Posted, crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    around, question = Flooder(watcher, posted, crash, QUICK), disc()
    refuse_threads(monkeypatch, "warm-")
    assert around.meet({peer.address: peer.address}) == []
    around.ask(Ask(peer.address, question))
    assert posted.wait_for(1) == [Unasked(peer.address, question.request, f"{peer.address} is no neighbour")]
    around.stop()


def test_who_is_met_and_not_there_is_not_dialled_again_for_each_question(meet: Meet, posted: Posted) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    patient = FlooderTiming(first_retry=60.0, last_retry=60.0, hurries=False)
    neighbour, questions = meet(f"127.0.0.1:{port}", patient), [disc() for _ in range(5)]
    neighbour.ask(questions[0])
    posted.wait_for(1)
    with socket.create_server(("127.0.0.1", port)) as listening:
        for number, question in enumerate(questions[1:], 2):
            neighbour.ask(question)  # given up at once, for the reason of the last attempt
            assert "nobody answers" in why_unasked(posted.wait_for(number)[-1], question)
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    neighbour.stop()  # at once


def test_while_a_new_layout_comes_in_no_question_is_forgotten(
    watcher: Watcher, crash: Recorder, peer: Peer
) -> None:
    posted, asked = Posted(), set[bytes]()
    around = Flooder(watcher, posted, crash, QUICK)

    def change() -> None:
        for size in [0, 3, 1, 4] * 4:
            around.update({f"n{number}": peer.address for number in range(size)})

    changing = threading.Thread(target=change)
    changing.start()
    while changing.is_alive() or not asked:
        for number in range(4):
            around.ask(Ask(f"n{number}", question := disc()))
            asked.add(question.request)
        changing.join(0.0005)
    around.stop()
    # The peer answers nothing: so of each is told, once, that it is asked no more.
    assert sorted(event.request for event in posted.events if isinstance(event, Unasked)) == sorted(asked)
    assert len(posted.events) == len(asked)


# Who was only named by others

ONCE = replace(FURTHER_TIMING, first_retry=10 * PATIENCE, last_retry=10 * PATIENCE, late=10 * PATIENCE)
HASTY = replace(ONCE, late=0.05)


def cancelled(neighbour: Neighbour, peer: Peer) -> tuple[Connection, Disc]:
    """Ask a stranger what nobody waits for any more; return his end of the connection, and the question."""
    neighbour.ask(question := disc())
    connection = peer.accept()
    asked = read(connection, Disc)
    neighbour.cancel(question.request)
    return connection, asked


def test_a_stranger_who_answers_late_is_asked_again_on_the_same_connection(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, early, second = meet(peer.address, ONCE), disc(), disc()
    connection, asked = cancelled(neighbour, peer)
    measured = len(posted.round_trips)
    neighbour.ask(early)  # a node is asked one thing at a time on a connection
    assert why_unasked(posted.wait_for(1)[0], early) == "no answer"
    connection.send(found(asked))
    wait_until(lambda: len(posted.round_trips) > measured)
    neighbour.ask(second)
    answer = found(read(connection, Disc))
    assert answer.request == second.request
    connection.send(answer)
    assert posted.wait_for(2)[1:] == [Answered("n2", answer)], "nobody waits for the first answer any more"


def test_a_stranger_who_hangs_up_instead_of_a_late_answer_is_not_dialled_again(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, second = meet(peer.address, ONCE), disc()
    connection, _ = cancelled(neighbour, peer)
    connection.close()
    neighbour.ask(second)
    (event,) = posted.wait_for(1)
    assert why_unasked(event, second)
    with pytest.raises(TimeoutError):
        peer.accept(0.2)


def test_of_a_question_that_was_cancelled_nothing_is_told_when_the_stranger_is_met_no_more(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour = meet(peer.address, ONCE)
    connection, _ = cancelled(neighbour, peer)
    neighbour.stop()
    wait_until(lambda: closed(connection))
    assert posted.events == []


def test_a_stranger_who_says_nothing_is_not_dialled_again_for_the_next_question(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, second = meet(peer.address, HASTY), disc()
    connection, _ = cancelled(neighbour, peer)
    wait_until(lambda: closed(connection))
    neighbour.ask(second)
    (event,) = posted.wait_for(1)
    assert why_unasked(event, second) == "no answer"
    with pytest.raises(TimeoutError):
        peer.accept(0.2)


def test_a_stranger_who_hangs_up_is_not_dialled_again(meet: Meet, peer: Peer) -> None:
    meet(peer.address, ONCE)
    peer.accept().close()
    with pytest.raises(TimeoutError):
        peer.accept(0.2)


def test_one_who_has_answered_is_dialled_again_for_a_question_only(
    meet: Meet, peer: Peer, posted: Posted
) -> None:
    neighbour, first, second = meet(peer.address, ONCE), disc(), disc()
    neighbour.ask(first)
    connection = peer.accept()
    connection.send(found(read(connection, Disc)))
    posted.wait_for(1)
    taken = neighbour.take()
    assert taken is not None
    taken.close()
    with pytest.raises(TimeoutError):
        peer.accept(0.2)
    neighbour.ask(second)
    assert read(peer.accept(), Disc) == second
