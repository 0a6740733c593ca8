"""A relay between real parents and children on the loopback, here and in a worker; and the RelayDb."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest

from helpers import PATIENCE, refuse_threads, wait_until
from mcast.errors import McastError
from mcast.media import feedback
from mcast.media.child import ChildLost
from mcast.net.threads import NoThreadError
from mcast.overlay.actions import Accept
from mcast.overlay.events import Feed
from mcast.peer.upstream import Upstream
from mcast.roles.node.own_process import OwnProcess
from mcast.roles.node.relays import admit
from mcast.roles.node.workers.pool import WorkerPool
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from media.plane.parts import Family, family
from media.plane.streams import SSRC, numbers_of, train
from roles.partners import RP, disc, stream_of
from roles.relay_scene import KEY, Below, GrantedUpstream, Scene


@pytest.fixture
def above() -> Iterator[Family]:
    with family() as above:
        yield above


@pytest.fixture(params=[OwnProcess, partial(WorkerPool, 1)], ids=["here", "in a worker"])
def scene(above: Family, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Whatever is asked of a relay, it is the same whether this process carries it or a worker."""
    scene = Scene(above, request.param)
    if request.param is not OwnProcess:  # parents do not wait for it as long as a busy machine may need
        wait_until(lambda: scene.host.others_load()[1], "a worker at work")
    yield scene
    scene.close()


def test_what_comes_from_above_goes_to_the_child_under_the_same_numbers(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 20, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 20)
    answer, trains = scene.child()
    assert (answer.path, answer.version, answer.cut, answer.stream.ssrc) == ((RP,), 3, False, SSRC)
    assert answer.token != scene.token(1)
    wait_until(lambda: trains and trains[-1].next == 20)
    assert trains[0].first == 0
    above.fanout.push(train(20, 5))
    wait_until(lambda: trains[-1].next == 25)
    wait_until(lambda: scene.relay.wanted == Position(SSRC, 25))
    counters = scene.relay.counters()
    assert (counters.datagrams, counters.lost, counters.duplicates) == (25, 0, 0)
    due = scene.relay.due(25)
    assert due is not None
    assert (due.number, due.at == pytest.approx(time.monotonic(), abs=PATIENCE)) == (25, True)
    wait_until(lambda: 1 in scene.relay.child_times(), "the child is heard of")
    wait_until(lambda: scene.relay.child_times()[1].round_trip_ms, "the first report of the child")
    (parent,) = scene.relay.parents().values()
    assert (parent.new, parent.next) == (25, 25)


def test_the_delay_by_the_server_s_clock_is_known_here_and_told_by_the_children(
    above: Family, scene: Scene
) -> None:
    scene.receive()  # here the parent is the server
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.delay() is not None, "the server's word")
    _, trains = scene.child()
    wait_until(lambda: trains)
    wait_until(lambda: 1 in scene.relay.child_times(), "the child is heard of")
    wait_until(
        lambda: scene.relay.child_times()[1].delay_us, "the server's word at the child, and its report"
    )


def test_how_it_is_with_each_parent_is_posted_under_its_id(above: Family, scene: Scene) -> None:
    scene.receive(7)
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.posted.feeds and scene.posted.feeds[-1] == (7, Feed.FED))
    above.fanout.dismiss(KEY + 7)  # nothing more comes, not even a sign of life
    wait_until(lambda: scene.posted.feeds[-1] == (7, Feed.SILENT))


def test_a_second_parent_may_come_and_the_first_go_and_nothing_comes_twice(
    above: Family, scene: Scene
) -> None:
    scene.receive(1)
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    _, trains = scene.child()
    scene.receive(2, resume=scene.relay.wanted)
    wait_until(lambda: (2, Feed.WAITING) in scene.posted.feeds)  # it hears from both
    above.fanout.push(train(10, 5))
    wait_until(lambda: trains and trains[-1].next == 15)
    scene.db.leave("news", 1)
    wait_until(lambda: above.lost == [(KEY + 1, ChildLost.BYE)])
    above.fanout.push(train(15, 5))
    wait_until(lambda: trains[-1].next == 20)
    numbers = [number for item in trains for number in range(item.first, item.next)]
    assert numbers == list(range(20))
    assert scene.relay.counters().lost == 0


def test_a_child_gets_what_it_lacks_although_the_relay_has_begun_later_for_another_one_s_sake(
    above: Family, scene: Scene
) -> None:
    above.fanout.push(train(0, 20, keys=[0]))
    scene.receive(1, resume=Position(SSRC, 12))
    wait_until(lambda: scene.relay.position.next == 20)
    wait_until(lambda: scene.relay.wanted.next == 20)
    _, trains = scene.child(resume=Position(SSRC, 5))
    wait_until(
        lambda: {number for item in trains for number in range(item.first, item.next)} >= {*range(5, 20)}
    )
    numbers = [number for item in trains for number in range(item.first, item.next)]
    assert sorted(numbers) == list(range(5, 20)), "and each of them once"


def test_what_a_child_lacks_comes_by_relays_that_have_all_begun_later_for_another_one_s_sake(
    above: Family, scene: Scene
) -> None:
    above.fanout.push(train(0, 20, keys=[0]))
    scene.receive(resume=Position(SSRC, 12))
    wait_until(lambda: scene.relay.wanted.next == 20)
    with contextlib.closing(Below(scene)) as middle, contextlib.closing(Below(middle)) as lowest:
        for each in (middle, lowest):
            each.receive(resume=Position(SSRC, 12))
            wait_until(lambda each=each: each.relay.wanted.next == 20)  # type: ignore[misc]
        _, content = lowest.child(resume=Position(SSRC, 12))
        wait_until(lambda: numbers_of(content) == list(range(12, 20)))
        _, lacking = lowest.child(resume=Position(SSRC, 5))
        wait_until(lambda: sorted(numbers_of(lacking)) == list(range(5, 20)), "each number once")
        above.fanout.push(train(20, 2))
        wait_until(lambda: content[-1].next == 22)
        assert numbers_of(content) == list(range(12, 22)), "what the other one lacks is not for this one"


def test_the_children_are_told_how_the_node_is_fed(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    scene.db.supply("news", FeedState.CUT)
    assert scene.child()[0].cut
    scene.db.supply("news", FeedState.FED)
    assert not scene.child()[0].cut


def test_who_has_got_everything_is_posted_once_and_a_mute_child_never(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    scene.db.on_tick()
    _, trains = scene.child()
    admit(scene.relay, scene.link(), Accept(2, stream_of(disc()), (RP,), 1))  # the second says no hello
    scene.db.await_drain("news", 9)

    def told() -> list[tuple[int, ...]]:
        scene.db.on_tick()
        return scene.posted.drained

    wait_until(told)
    assert trains[-1].next == 10
    scene.db.on_tick()
    assert scene.posted.drained == [(1,)]


def test_nobody_is_drained_before_the_last_number_has_come(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 10, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains and trains[-1].next == 10)
    scene.db.await_drain("news", 10)
    scene.db.on_tick()
    assert scene.posted.drained == []


def test_a_child_that_says_bye_is_told_by_its_number(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains)
    scene._open.close()  # the receiver says BYE when it stops
    assert scene.lost.wait_for(1) == [(1, ChildLost.BYE)]


def test_a_dismissed_child_gets_no_more(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains and scene.relay.child_times())
    scene.db.dismiss("news", 1)
    wait_until(lambda: not scene.relay.child_times())
    above.fanout.push(train(1, 1))
    wait_until(lambda: scene.relay.position.next == 2)
    assert trains[-1].next == 1


def test_a_closed_relay_takes_nobody_in_and_the_parent_above_hears_bye(
    above: Family, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    relay, link = scene.relay, scene.link()
    scene.db.close("news")
    assert len(scene.db) == 0
    wait_until(lambda: above.lost == [(KEY + 1, ChildLost.BYE)])
    scene.reaper.stop()
    with pytest.raises(McastError):
        admit(relay, link, Accept(1, stream_of(disc()), (RP,), 1))
    (pruned,) = (each for each in caplog.records if getattr(each, "event", "") == "pruned")
    assert pruned.getMessage() == "[news] pruned: 1 datagrams, 0 lost, 0 repaired, 0 duplicates"


def test_a_content_may_be_opened_again_while_its_old_relay_still_ends(above: Family, scene: Scene) -> None:
    scene.receive(1)
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    scene.db.close("news")
    scene.receive(2)
    above.fanout.push(train(1, 1, keys=[1]))
    wait_until(lambda: scene.relay.position.next == 2)


def test_no_way_to_the_media_leaves_nothing_behind(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(_self: GrantedUpstream) -> socket.socket:
        raise OSError(113, "no route to host")

    monkeypatch.setattr(GrantedUpstream, "connect_media", no_route)
    with pytest.raises(OSError, match="no route"):
        scene.receive()
    assert len(scene.db) == 0


def test_what_concerns_a_content_that_is_not_relayed_is_nothing(scene: Scene) -> None:
    scene.db.leave("sea", 1)
    scene.db.dismiss("sea", 1)
    scene.db.supply("sea", FeedState.CUT)
    scene.db.await_drain("sea", 1)
    scene.db.close("sea")
    assert list(scene.db) == []


def test_a_relay_for_which_there_is_no_thread_leaves_nothing_behind(
    above: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(above)
    with monkeypatch.context() as patch:
        refuse_threads(patch, "forward-")
        granted = scene.granted(1, None)
        with pytest.raises(NoThreadError):
            scene.db.receive(cast(Upstream, granted))
    assert (scene.db.get("news"), granted.sock.fileno()) == (None, -1)
    scene.receive(2)  # now there are threads again
    above.fanout.push(train(0, 20, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 20)
    scene.close()


def hold_up(until: threading.Event) -> None:
    assert until.wait(2 * PATIENCE)


def test_the_ends_of_relays_do_not_wait_for_the_thread_that_hears_their_children(
    above: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_CALL_TIMEOUT", 2 * PATIENCE)
    scene = Scene(above)
    scene.receive()
    above.fanout.push(train(0, 20, keys=[0]))
    scene.child()
    may_go_on, closed = threading.Event(), threading.Event()
    host = cast(OwnProcess, scene.host)
    host._reader.call(lambda: hold_up(may_go_on))
    scene.db.close("news")
    scene.reaper.post(closed.set)
    assert closed.wait(PATIENCE)
    may_go_on.set()
    scene.close()
