"""How a leaf comes to a stream and leaves it: its neighbours answer, refuse, hang up, or are not there."""

import contextlib
import json
import logging
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.conftest import Subscribe
from client.neighbours import CHILD, Node, payload
from helpers import PATIENCE, wait_until
from mcast.client import Subscription
from mcast.client.leaf import SILENT_SOURCE, names_of
from mcast.errors import ConfigError, McastError, NotFoundError, StreamEndedError, UnreachableError
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.deadline import Deadline
from mcast.overlay import discovery, search, trace, transitions
from mcast.overlay.search import MAX_TRIES
from mcast.peer import upstream
from mcast.peer.upstream import CONNECT_TIMEOUT
from mcast.wire.frame import Message
from mcast.wire.node import Disc, MissReason, Start, StopReason, Stream
from mcast.wire.rtcp import FeedState
from media.plane.streams import SSRC, train
from roles.partners import N2, RP, disc, found, miss, port_for, read, silent_address, stop_for


def outcome(subscription: Subscription, answer: Callable[[], None] = lambda: None) -> Exception:
    """Answer what is asked until joining ends with an error; return that."""
    deadline = Deadline(PATIENCE)
    while not deadline.expired:
        answer()
        try:
            assert not subscription.wait_joined(0.05)
        except McastError as error:
            return error
    raise AssertionError("it is still trying")


def busy(node: Node) -> None:
    with contextlib.suppress(AssertionError):  # nothing was asked
        connection, asked = node.peer.question(Disc, timeout=0.05)
        connection.send(miss(asked, MissReason.BUSY))


def preparing(node: Node) -> None:
    with contextlib.suppress(AssertionError):  # nothing was asked
        connection, asked = node.peer.question(Disc, timeout=0.05)
        connection.send(replace(miss(asked, MissReason.CUT, "preparing 43 %"), retry_ms=1))


def hang_up(node: Node) -> None:
    with contextlib.suppress(AssertionError):
        connection, _ = node.peer.question(Disc, timeout=0.05)
        connection.close()


def nonsense(node: Node) -> None:
    with contextlib.suppress(AssertionError):
        connection, asked = node.peer.question(Disc, timeout=0.05)
        connection.send(asked)


def ending(subscription: Subscription) -> str:
    """Read to the end, which is an error; return what it says."""
    with pytest.raises(StreamEndedError) as raised:
        for _ in subscription:
            pass
    return str(raised.value)


# Joining


@pytest.mark.parametrize("start", list(Start))
def test_found_and_port_make_a_subscription(node: Node, subscribe: Subscribe, start: Start) -> None:
    subscription = subscribe(start=start.name.lower())
    subscription.start()
    stream = node.take_in()
    assert subscription.wait_joined()
    assert (stream.content, stream.start, stream.hops) == ("news", start, 0)
    assert stream.resume is None
    assert stream.buffer_bytes > 0
    assert stream.port > 0


def test_the_question_says_who_asks(node: Node, subscribe: Subscribe) -> None:
    subscribe().start()
    _, asked = node.peer.question(Disc)
    assert (asked.content, asked.hops, asked.excluded) == ("news", 0, ())
    assert asked.sender == asked.origin
    assert 0 < asked.remaining_ms <= 4000


def test_a_content_that_is_absent_ends_the_search_as_not_found(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe()
    subscription.start()
    node.miss(MissReason.ABSENT)
    assert isinstance(outcome(subscription), NotFoundError)


def test_busy_is_tried_again_under_new_ids_as_long_as_patience_lasts(
    node: Node, subscribe: Subscribe
) -> None:
    subscription, requests = subscribe(), set()
    subscription.start()
    for _ in range(MAX_TRIES + 3):
        requests.add(node.refuse(MissReason.BUSY).request)
    node.miss(MissReason.ABSENT)
    assert isinstance(outcome(subscription), NotFoundError)
    assert len(requests) == MAX_TRIES + 3


def test_busy_beyond_patience_is_no_way(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe(patience=0.2)
    subscription.start()
    error = outcome(subscription, lambda: busy(node))
    assert isinstance(error, UnreachableError)
    assert "(busy)" in str(error)


def test_a_question_that_is_not_answered_in_time_is_asked_again_as_long_as_patience_lasts(
    node: Node, subscribe: Subscribe
) -> None:
    subscription, requests = subscribe(), set()
    subscription.start()
    for _ in range(MAX_TRIES + 2):
        requests.add(node.miss(MissReason.DEADLINE).request)
    node.miss(MissReason.ABSENT)
    assert isinstance(outcome(subscription), NotFoundError)
    assert len(requests) == MAX_TRIES + 2


@pytest.mark.parametrize(
    "reason", [each for each in MissReason if each not in (1, MissReason.BUSY, MissReason.DEADLINE)]
)
def test_any_other_miss_is_tried_three_times_and_then_it_is_said_why(
    node: Node, subscribe: Subscribe, reason: MissReason
) -> None:
    subscription = subscribe()
    subscription.start()
    requests = {node.miss(reason, "because").request for _ in range(MAX_TRIES + 1)}  # the first is scoped
    error = outcome(subscription)
    assert isinstance(error, UnreachableError)
    assert str(error).endswith(f"through {node.address} in 3 tries ({reason.name.lower()} because)")
    assert len(requests) == MAX_TRIES + 1


def test_a_miss_in_between_is_forgiven(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe()
    subscription.start()
    node.miss(MissReason.GONE)
    node.refuse(MissReason.CUT)
    last = node.take_in()
    assert subscription.wait_joined()
    node.push(0, 1)
    subscription.read(PATIENCE)
    figures = subscription.statistics()
    assert figures.request_id is not None
    assert figures.request_id.replace("-", "") == last.request.hex()  # the one that has led there


@pytest.mark.parametrize(
    ("answer", "why"),
    [(hang_up, "closed the connection"), (nonsense, "Disc where FOUND or MISS was asked")],
)
def test_a_neighbour_that_breaks_off_is_asked_again_until_patience_is_over(
    node: Node, subscribe: Subscribe, answer: Callable[[Node], None], why: str
) -> None:
    subscription = subscribe(patience=0.5)
    subscription.start()
    error = outcome(subscription, lambda: answer(node))
    assert isinstance(error, UnreachableError)
    assert node.address in str(error)
    assert why in str(error)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda asked: found(asked), "Found has no place in a subscription"),
        (lambda asked: stop_for(asked, StopReason.LEAVING, text="bye"), "leaving bye"),
        (None, "closed the connection"),
    ],
)
def test_a_neighbour_that_breaks_off_after_found_is_tried_three_times(
    node: Node, subscribe: Subscribe, answer: Callable[[Stream], Message] | None, why: str
) -> None:
    subscription = subscribe()
    subscription.start()
    for _ in range(MAX_TRIES + 1):
        connection, asked = node.asked_to_stream()
        if answer is not None:
            connection.send(answer(asked))
        else:
            connection.close()
    error = outcome(subscription)
    assert isinstance(error, UnreachableError)
    assert "in 3 tries" in str(error)
    assert why in str(error)


def test_a_neighbour_that_says_nothing_is_given_up(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "OWN_FLOOD_SECONDS", 0.2)
    subscription = subscribe(patience=0.1)
    subscription.start()
    error = outcome(subscription)
    assert isinstance(error, UnreachableError)
    assert f"nobody answers at {node.address} (tried for 0.1 s)" in str(error)


def test_a_parent_that_says_found_and_then_nothing_is_given_up(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "JOIN_SECONDS", 0.1)
    subscription = subscribe(patience=0.01)
    subscription.start()
    node.asked_to_stream()
    assert node.heard_stop() is StopReason.UNSUBSCRIBE
    error = outcome(subscription)
    assert isinstance(error, UnreachableError)
    assert "no answer" in str(error)


def test_a_neighbour_that_is_not_there_is_named_with_the_time_it_was_tried(
    node: Node, subscribe: Subscribe
) -> None:
    node.peer.stop_listening()
    subscription = subscribe(patience=0.1)
    subscription.start()
    error = outcome(subscription)
    assert isinstance(error, UnreachableError)
    assert f"nobody answers at {node.address}" in str(error)
    assert "tried for 0.1 s" in str(error)


def test_a_neighbour_that_starts_later_is_waited_for(subscribe: Subscribe) -> None:
    with socket.socket() as later:
        later.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        later.bind(("127.0.0.1", 0))
        subscription = subscribe(str(HostPort(*later.getsockname())))
        subscription.start()
        later.listen()
        later.settimeout(PATIENCE)
        sock, _ = later.accept()
        with Connection(sock) as connection:
            connection.send(miss(read(connection, Disc), MissReason.ABSENT))
            assert isinstance(outcome(subscription), NotFoundError)


def test_the_first_of_several_neighbours_that_says_found_is_taken(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(node.address, other_node.address)
    subscription.start()
    node.peer.question(Disc)  # asked as well; it thinks about it
    other_node.take_in(path=(RP, N2))
    assert subscription.wait_joined()
    other_node.push(0, 3)
    assert subscription.path == ("rp", "n2")
    assert subscription.read(PATIENCE)


def test_several_neighbours_that_are_not_there_are_all_named(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    for each in (node, other_node):
        each.peer.stop_listening()
    subscription = subscribe(node.address, other_node.address, patience=0.1)
    subscription.start()
    assert f"nobody answers at {node.address} or {other_node.address}" in str(outcome(subscription))


def test_a_hosts_name_that_is_no_name_for_a_node_gets_a_number() -> None:
    """Neighbours go by their address here; a host's name may be longer than a node's."""
    hosts = [HostPort("h" * 63, 5000), HostPort("127.0.0.1", 5000)]
    assert names_of(hosts) == {"neighbour 1": f"{'h' * 63}:5000", "127.0.0.1:5000": "127.0.0.1:5000"}


# Playing


def test_the_end_waits_for_the_last_number_and_until_it_has_gone_out(
    node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(latency_ms=300)
    subscription.start()
    node.take_in()
    node.push(0, 10)
    node.say_stop(StopReason.END, last=19)
    node.push(10, 10)
    assert b"".join(subscription) == payload(0, 20)
    assert subscription.statistics().lost_datagrams == 0


def test_the_end_does_not_wait_for_ever_for_a_last_number_that_never_comes(
    node: Node, joined: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "DRAIN_SECONDS", 0.2)
    node.push(0, 10)
    data = joined.read(PATIENCE)
    node.say_stop(StopReason.END, last=12)
    assert data + b"".join(joined) == payload(0, 10)
    assert joined.statistics().lost_datagrams == 3


def test_a_hole_that_is_not_filled_does_not_delay_the_end_beyond_the_latency(
    node: Node, joined: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "DRAIN_SECONDS", 60.0)
    node.push(0, 10)
    node.push(12, 8)
    node.say_stop(StopReason.END, last=19)
    assert b"".join(joined) == payload(0, 10) + payload(12, 8)
    assert joined.statistics().lost_datagrams == 2


@pytest.mark.parametrize("reason", [each for each in StopReason if each is not StopReason.END])
def test_a_stop_by_the_only_parent_there_is_ends_it_after_a_search(
    node: Node, joined: Subscription, reason: StopReason
) -> None:
    node.say_stop(reason, text="because")
    text = ending(joined)
    assert text.startswith("the stream of 'news' has ended: cut no media for")
    assert f"({reason.name.lower()} because)" in text


def test_a_connection_that_is_lost_ends_it_after_a_search(node: Node, joined: Subscription) -> None:
    assert node.connection is not None
    node.connection.close()
    assert "closed the connection" in ending(joined)


def test_silence_is_given_up(node: Node, joined: Subscription) -> None:
    node.push(0, 10)
    joined.read(PATIENCE)
    node.fanout.dismiss(CHILD)
    assert "no media for 0.2 s" in ending(joined)
    assert node.heard_stop() is StopReason.UNSUBSCRIBE


def test_udp_that_never_comes_is_named_at_the_end(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe(give_up=0.2)
    subscription.start()
    connection, asked = node.asked_to_stream()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        connection.send(port_for(asked, path=(RP,), port=port, ssrc=SSRC))
        assert subscription.wait_joined(PATIENCE)
        assert f"no UDP comes from 127.0.0.1:{port} though TCP is up: a firewall?" in ending(subscription)


def test_another_stream_in_its_place_ends_it(node: Node, joined: Subscription) -> None:
    node.new_path((RP,), 2, ssrc=7)
    assert "replaced" in ending(joined)


def test_a_message_out_of_place_ends_the_stream(node: Node, joined: Subscription) -> None:
    assert node.connection is not None
    node.connection.send(disc())
    assert "Disc has no place" in ending(joined)


def test_no_way_to_the_media_port_ends_it(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(upstream, "connect_media_socket", no_route)
    subscription = subscribe()
    subscription.start()
    node.take_in()
    assert subscription.wait_joined()
    assert "No route to host" in ending(subscription)


# Leaving


def test_leaving_says_stop_and_bye(node: Node, joined: Subscription) -> None:
    node.push(0, 10)
    joined.read(PATIENCE)
    joined.close()
    assert node.heard_stop() is StopReason.UNSUBSCRIBE
    node.wait_forgotten()


def test_leaving_does_not_wait_for_a_connect_that_nobody_answers(subscribe: Subscribe) -> None:
    with silent_address() as address:
        subscription = subscribe(address)
        subscription.start()
        began = time.monotonic()
        subscription.close()
        assert time.monotonic() - began < CONNECT_TIMEOUT / 2


@pytest.mark.parametrize("questions", [1, 2])
def test_leaving_before_the_answer_hangs_up(node: Node, subscribe: Subscribe, questions: int) -> None:
    subscription = subscribe()
    subscription.start()
    node.connection, asked = node.peer.question(Disc)
    if questions == 2:
        node.connection.send(found(asked))
        node.connection, _ = node.peer.question(Stream)
    subscription.close()
    assert node.heard_stop() is (StopReason.UNSUBSCRIBE if questions == 2 else None)


def test_leaving_between_two_tries_does_not_wait_for_the_next(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "RETRY_PAUSE", 60.0)
    subscription = subscribe()
    subscription.start()
    node.miss(MissReason.GONE)
    subscription.close()
    assert b"".join(subscription) == b""


# What is told to people and to tools


def test_that_it_has_joined_is_logged_with_content_path_and_request(
    node: Node, subscribe: Subscribe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    subscription = subscribe()
    subscription.start()
    stream = node.take_in()
    assert subscription.wait_joined()
    assert events(caplog)["joined"] == {
        "content": "news", "path": ["rp", "n1"], "request": stream.request.hex(),
    }  # fmt: skip


def test_what_the_overlay_announces_is_an_event(
    node: Node, joined: Subscription, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node.push(0, 10)
    node.say_stop(StopReason.END, last=9)
    assert b"".join(joined) == payload(0, 10)
    assert events(caplog)["ended"]["content"] == "news"


def test_a_trace_gives_the_same_decisions_when_it_is_replayed(
    node: Node, subscribe: Subscribe, tmp_path: Path
) -> None:
    file = tmp_path / "trace.jsonl"
    subscription = subscribe(trace=file)
    subscription.start()
    node.take_in()
    node.push(0, 10)
    node.say_stop(StopReason.END, last=9)
    assert b"".join(subscription) == payload(0, 10)
    subscription.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert list(trace.replay(lines, random.Random(trace.seed_of(lines[0])))) == []
    kinds = {line["event"]["type"] for line in lines[1:]}
    assert kinds >= {"Wanted", "Answered", "Accepted", "Stopped", "Drained", "Unwanted", "Leaving"}


def test_a_trace_that_cannot_be_written_is_the_users_to_mend(subscribe: Subscribe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        subscribe(trace=tmp_path / "nowhere" / "trace.jsonl").start()


def events(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, object]]:
    """Return the fields of the events that were logged, by name."""
    return {
        record.event: record.fields  # type: ignore[attr-defined]
        for record in caplog.records
        if hasattr(record, "event")
    }


# Waiting


def test_who_waits_for_a_preparation_knows_how_far_it_is_and_then_joins(
    node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(patience=60.0)
    subscription.start()
    for percent in range(MAX_TRIES + 1):
        node.miss(MissReason.CUT, f"preparing {percent} %", retry_ms=1)
        wait_until(lambda: subscription.awaited == f"preparing {percent} %", "the news")  # noqa: B023
    node.take_in()
    assert subscription.wait_joined(PATIENCE)
    assert "preparing" not in subscription.awaited


def test_a_preparation_that_takes_longer_than_patience_lasts_is_no_way_yet(
    node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(patience=0.3)
    subscription.start()
    error = outcome(subscription, lambda: preparing(node))
    assert isinstance(error, UnreachableError)
    assert str(error).startswith("the content 'news' is not ready: preparing 43 % (waited for 0.3 s)")


def test_a_source_that_is_silent_is_waited_for_and_said(node: Node, joined: Subscription) -> None:
    node.fanout.set_state(FeedState.WAITING)
    node.nulls(0)
    wait_until(lambda: joined.awaited == SILENT_SOURCE, "what is waited for")
    assert not joined.wait_media(0.01)
    node.fanout.set_state(FeedState.FED)
    node.fanout.push(train(1, 3, keys=[1]))
    assert joined.wait_media(PATIENCE)
    wait_until(lambda: joined.awaited == "", "the end of the waiting")
    assert joined.statistics().first_number == 1
