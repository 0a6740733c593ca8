"""Parent and child together, over real sockets: who begins where, and nothing twice or missing."""

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from helpers import PATIENCE, wait_until
from mcast.media.allowance import Allowance
from mcast.media.child import Child, ChildState
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.history import HistoryBounds
from mcast.media.sockets import open_common
from mcast.media.token_bucket import TokenBucket
from mcast.net.ports import MediaPorts
from mcast.net.udp import TrainSender
from mcast.overlay.events import Feed
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.rtp import is_rtcp
from mcast.wire.train import Train
from media.plane.parts import LOCAL, PATIENT, Pusher, family
from media.plane.streams import SSRC, datagram, push, stream, train


def test_child_begins_at_the_last_keyframe_and_goes_on_live() -> None:
    with family() as parent:
        for item in stream(0, 500, keys=range(0, 500, 200)):
            parent.fanout.push(item)
        viewer = parent.join()
        parent.wait_next(500)
        parent.wait_live()
        parent.fanout.push(train(500, 10))
        parent.wait_next(510)
        assert viewer.numbers() == list(range(400, 510))
        assert viewer.lost == 0
        assert viewer.receiver.position == Position(SSRC, 510)


def test_a_fanout_that_is_closed_holds_no_media_as_long_as_others_hold_it() -> None:
    with family() as parent:
        item = train(0, 10)
        held = sys.getrefcount(item)
        parent.fanout.push(item)
        parent.fanout.close()
        assert (parent.fanout.position, sys.getrefcount(item)) == (Position(SSRC, 10), held)


def test_child_of_a_stream_without_a_keyframe_yet_begins_at_the_first() -> None:
    with family(1000) as parent:
        viewer = parent.join()
        wait_until(lambda: parent.child(viewer).state is ChildState.CATCHING_UP)
        parent.fanout.push(train(600, 10))
        parent.fanout.push(train(610, 10, keys=[613]))
        parent.wait_next(620)
        assert viewer.numbers() == list(range(613, 620))


def test_live_start_waits_for_the_next_keyframe() -> None:
    with family(timing=PATIENT) as parent:
        parent.fanout.push(train(0, 40, keys=[0, 30]))
        viewer = parent.join(start=Start.LIVE)
        wait_until(lambda: parent.child(viewer).state is ChildState.CATCHING_UP)
        parent.fanout.push(train(40, 5))
        parent.fanout.push(train(45, 5, keys=[47]))
        parent.wait_next(50)
        assert viewer.numbers() == [47, 48, 49]
        assert viewer.lost == 0
        assert Feed.SILENT not in viewer.states


def test_resumed_child_begins_at_exactly_its_number() -> None:
    with family() as parent:
        for item in stream(0, 300, keys=[0, 200]):
            parent.fanout.push(item)
        viewer = parent.join(resume=Position(SSRC, 123))
        parent.wait_next(300)
        assert viewer.numbers() == list(range(123, 300))


def test_of_a_child_that_resumes_it_is_told_once_when_it_gets_the_stream_as_it_comes() -> None:
    with family() as parent:
        for item in stream(0, 300, keys=[0, 200]):
            parent.fanout.push(item)
        joined, resumed = parent.join(), parent.join(resume=Position(SSRC, 123))
        parent.wait_next(300)
        wait_until(lambda: parent.caught_up, "it is told")
        for item in stream(300, 50, keys=[]):
            parent.fanout.push(item)
        parent.wait_next(350)
        assert joined.numbers()[-1] == 349
        assert parent.caught_up == [parent.child(resumed).key]


def test_resumed_child_that_comes_too_late_begins_at_the_oldest_and_counts_what_it_lost() -> None:
    with family(bounds=HistoryBounds(datagrams=100)) as parent:
        for item in stream(0, 490, keys=[0]):
            parent.fanout.push(item)
        viewer = parent.join(resume=Position(SSRC, 123))
        parent.wait_next(490)
        first = viewer.numbers()[0]
        assert 390 <= first <= 440
        assert viewer.numbers() == list(range(first, 490))
        assert viewer.lost == first - 123
        assert parent.child(viewer).skipped == first - 123


def test_resumed_child_that_is_ahead_gets_nothing_twice() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 40, keys=[0]))
        viewer = parent.join(resume=Position(SSRC, 60))
        wait_until(lambda: parent.child(viewer).state is ChildState.CATCHING_UP)
        parent.fanout.push(train(40, 40))
        parent.fanout.push(train(80, 40))
        parent.wait_next(120)
        assert viewer.numbers() == list(range(60, 120))


def test_resume_of_another_stream_is_an_ordinary_join() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 40, keys=[0, 30]))
        viewer = parent.join(resume=Position(99, 35))
        parent.wait_next(40)
        assert viewer.numbers() == list(range(30, 40))


@pytest.mark.parametrize("offload", [True, False])
def test_joining_while_the_stream_runs_leaves_no_gap_and_repeats_nothing(offload: bool) -> None:
    trains = [
        part
        for item in stream(65_000, 2_000, keys=range(65_000, 67_000, 50), short=range(65_049, 67_000, 50))
        for part in (
            (item.slice(0, item.first + 7), item.slice(item.first + 7)) if item.count > 7 else (item,)
        )
    ]
    with family(65_000, offload=offload) as parent:
        pusher = Pusher(parent.fanout, trains)
        for _ in range(12):
            parent.join()
            parent.wait_live()
        pusher.join()
        parent.wait_next(67_000)
        wire = b"".join(item.data for item in trains)
        for viewer in parent.viewers:
            numbers = viewer.numbers()
            assert numbers == list(range(numbers[0], 67_000))
            assert numbers[0] % 50 == 0
            # Byte for byte, headers included.
            assert wire.endswith(b"".join(item.data for item in viewer.trains))
            counters = viewer.receiver.counters()
            assert (counters.lost, counters.duplicates, counters.reordered) == (0, 0, 0)


def test_switch_to_live_is_exact_under_a_flood_of_joins_and_pushes() -> None:
    """Catching up and going live again and again, while another thread pushes as fast as it can."""
    count, step = 8_000, 8
    with family(bounds=HistoryBounds(seconds=60, datagrams=10**6, bytes=10**9)) as parent:
        parent.fanout.push(train(0, step, keys=[0]))
        trains = [train(first, step) for first in range(step, count, step)]
        pusher = Pusher(parent.fanout, trains, rate=4_000)
        for turn in range(10):
            viewer = parent.join(resume=Position(SSRC, turn * 20))
            if turn % 3 == 0:
                parent.wait_live(viewer)
        pusher.join()
        parent.wait_next(count)
        for turn, viewer in enumerate(parent.viewers):
            skipped = parent.child(viewer).skipped
            assert skipped == 0
            assert viewer.numbers() == list(range(turn * 20, count)), turn
            assert viewer.receiver.counters().duplicates == 0


def test_late_datagrams_reach_children_that_have_passed_them() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        parent.fanout.push(train(20, 10))
        viewer = parent.join()
        parent.wait_next(30)
        parent.wait_live()
        parent.fanout.push(train(10, 10))
        wait_until(lambda: len(viewer.numbers()) == 30)
        assert sorted(viewer.numbers()) == list(range(30))
        assert viewer.receiver.counters().reordered == 10


def test_gap_and_swap_inside_a_merged_train_are_handed_on_in_order_of_arrival() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join()
        parent.wait_live()
        odd = b"".join(datagram(n) for n in (10, 11, 14, 13, 16))
        sender = parent.sender(viewer)
        sender.send(Train(10, len(odd) // 5, odd))
        parent.wait_next(17)
        assert viewer.numbers()[10:] == [10, 11, 14, 13, 16]
        counters = viewer.receiver.counters()
        assert (counters.lost, counters.reordered) == (2, 1)


def test_parent_that_is_cut_off_tells_its_children_at_once() -> None:
    with family(timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join()
        parent.wait_next(10)
        parent.fanout.set_state(FeedState.CUT)
        wait_until(lambda: viewer.states[-1] is Feed.CUT)
        assert Feed.SILENT not in viewer.states
        parent.fanout.set_state(FeedState.CUT, no_way=True)
        wait_until(lambda: viewer.states[-1] is Feed.NO_WAY)
        parent.fanout.set_state(FeedState.FED)
        parent.fanout.push(train(10, 10))
        wait_until(lambda: viewer.states[-1] is Feed.FED)


class Clockwork:
    """A fanout whose feedback thread is the test: one live child, whose SRs are noted."""

    def __init__(self) -> None:
        self.total, self.calls, self.reports = Allowance(1e9, 0.0), 0, list[float]()
        self.now = 50.0
        self.fanout = Fanout(
            "news", Position(SSRC, 0), cast(FeedbackReader, self), MediaPorts(), on_lost=lambda *_: None
        )
        self.child = Child(
            key=1, identity="c", token=b"t" * 16, local_ip=LOCAL, peer_ip=LOCAL, start=Start.KEYFRAME,
            resume=None, lease_until=1e9, pace=TokenBucket(400, 64, 0.0),
        )  # fmt: skip
        self.child.sender = cast(TrainSender, self)
        self.fanout._children.add(self.child)
        self.push(0)
        self.fanout._children.start(self.child, self.now)
        self.run(0.2)
        assert self.child.state is ChildState.LIVE

    def call(self, function: Callable[[], None], *, wait: bool = False) -> None:
        """Stand for the feedback thread: there is none, and nothing to register."""

    def close(self, _sock: object) -> None:
        """There is none to close."""

    def send(self, item: Train) -> int:
        return item.count

    def send_packet(self, _packet: bytes) -> bool:
        self.reports.append(self.now)
        return True

    def push(self, number: int) -> None:
        push(self.fanout._children, train(number, 5, keys=[number]), self.now)

    def run(self, seconds: float, *, media: bool = False) -> None:
        """Let time pass: the fanout is called when it wants to be."""
        end, due, step = self.now + seconds, 0.0, 0
        self.reports.clear()
        self.calls = 0
        while self.now < end:
            if media and (step := step + 1) % 10 == 0:
                self.push(self.fanout.position.next)
            if self.now >= due:
                self.calls += 1
                due = self.fanout.tick(self.now)
            self.now += 0.001


def test_a_parent_without_media_tells_so_each_30_ms() -> None:
    works = Clockwork()
    works.run(1.0, media=True)
    began = works.now
    works.run(1.0)
    reports = [report for report in works.reports if report > began + 0.04]
    assert reports[0] <= began + 0.05 + 0.03 + 0.003
    pauses = [later - earlier for earlier, later in pairwise(reports)]
    assert 0.027 <= min(pauses) <= max(pauses) <= 0.033


def test_while_media_comes_the_thread_has_little_to_do() -> None:
    works = Clockwork()
    works.run(5.0, media=True)
    assert len(works.reports) <= 6
    assert works.calls <= 5 * 35


def test_contents_wake_their_thread_up_together() -> None:
    works = [Clockwork(), Clockwork()]
    for at, each in enumerate(works):
        each.now += 0.037 * at  # they began at different moments
        each.run(1.0, media=True)
    now = max(each.now for each in works)
    wanted = [[each.fanout.tick(now + step / 1000) for step in range(400)] for each in works]
    first, second = ({round(due, 6) for due in dues[200:]} for dues in wanted)  # they have gone quiet
    assert first == second


def test_a_child_that_asks_hears_a_report_soon() -> None:
    works = Clockwork()
    works.run(1.5, media=True)
    works.child.next_report = works.now + 0.2  # what a NACK does
    works.run(0.35, media=True)
    assert works.reports


def test_reports_alone_are_no_sign_of_the_source() -> None:
    """A parent that says it is fed, and sends nothing: a ring of relays would look like this."""
    with family(timing=replace(PATIENT, starved=0.3)) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join()
        parent.wait_next(10)
        wait_until(lambda: viewer.states[-1] is Feed.CUT)
        assert viewer.states[-2:] == [Feed.FED, Feed.CUT]


def test_parent_and_child_learn_the_round_trip() -> None:
    with family() as parent:
        viewer = parent.join()
        pusher = Pusher(parent.fanout, [train(n, 10, keys=[0]) for n in range(0, 1500, 10)])
        pusher.join()
        wait_until(lambda: parent.child(viewer).round_trip_ms is not None)
        assert viewer.receiver.parents()[0].round_trip_ms is not None


def test_a_child_that_another_process_has_heard_is_fed_at_once_by_the_socket_of_that_one() -> None:
    with family(timing=PATIENT) as parent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as child:
        child.bind(("127.0.0.1", 0))
        child.settimeout(PATIENCE)
        common = open_common(MediaPorts(), LOCAL)
        port = common.getsockname()[1]
        parent.fanout.adopt(LOCAL, common)
        copy = common.dup()
        parent.fanout.adopt(LOCAL, copy)
        assert copy.fileno() < 0, "one is enough"
        parent.fanout.push(train(0, 3))
        heard_from, onward = child.getsockname()[1], Position(SSRC, 1)
        assert port == parent.fanout.admit(
            1, "child", LOCAL, LOCAL, parent.token(1), resume=onward, heard_from=heard_from
        )
        wait_until(lambda: parent.fanout.children()[0].state is ChildState.LIVE)
        data, address = child.recvfrom(2048)
        assert is_rtcp(data), "where it goes on is told first, as to one who has just said hello"
        assert address == ("127.0.0.1", port)
        assert [child.recv(2048) for _ in range(2)] == [datagram(1), datagram(2)]
