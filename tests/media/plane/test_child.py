"""A child: who owns its fields, where it is fed from, and what it leaves out when it is too slow."""

import random
import threading
from dataclasses import fields
from ipaddress import ip_address

import pytest

from helpers import wait_until
from mcast.media import fanout, rtcp_session
from mcast.media.child import (
    CATCH_UP_BURST,
    KEYFRAME_WAIT_SECONDS,
    MAX_AHEAD,
    MAX_LAG_SECONDS,
    MIN_BURST,
    Child,
    ChildState,
    first_burst,
)
from mcast.media.history import History
from mcast.media.token_bucket import TokenBucket
from mcast.net.udp import DATAGRAM_COST, TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import ReportBlock
from mcast.wire.train import Train
from media.plane.parts import PATIENT, Pusher, family
from media.plane.streams import RATE, SSRC, stream, train


def make(start: Start = Start.KEYFRAME, resume: int | None = None) -> Child:
    local = ip_address("127.0.0.1")
    return Child(
        key=1, identity="c", token=b"t" * 16, local_ip=local, peer_ip=local, start=start,
        resume=None if resume is None else Position(SSRC, resume), lease_until=0.0,
        pace=TokenBucket(1, 1, 0.0),
    )  # fmt: skip


def held(first: int, count: int, *keys: int) -> History:
    history = History(first)
    for item in stream(first, count, keys=keys):
        history.insert(item, 0.0)
    return history


@pytest.mark.parametrize(
    ("resume", "cursor", "skipped"),
    [(150, 150, 0), (100, 100, 0), (200, 200, 0), (200 + MAX_AHEAD, 200 + MAX_AHEAD, 0), (30, 100, 70)],
)
def test_who_resumes_begins_at_its_number_or_at_the_oldest(resume: int, cursor: int, skipped: int) -> None:
    child = make(resume=resume)
    child.place(held(100, 100, 190), 0.0)
    assert (child.cursor, child.skipped) == (cursor, skipped)
    assert child.floor == resume, "what is older than all that is held may come late"
    assert child.has_begun(held(100, 100), 0.0)


def test_who_claims_to_be_impossibly_far_ahead_is_taken_as_new() -> None:
    child = make(resume=201 + MAX_AHEAD)
    child.place(held(100, 100, 150, 190), 0.0)
    assert child.cursor == 190


def test_a_new_child_begins_at_the_last_keyframe_or_waits_for_one() -> None:
    child = make()
    child.place(held(100, 100, 150, 190), 0.0)
    assert (child.cursor, child.floor, child.waits_for_keyframe) == (190, 190, False)
    early = make()
    early.place(held(100, 100), 0.0)
    assert early.waits_for_keyframe
    assert not early.has_begun(held(100, 100), KEYFRAME_WAIT_SECONDS - 1)
    assert early.has_begun(held(100, 150, 230), 1.0)
    assert (early.cursor, early.floor) == (230, 230)


def test_a_live_start_waits_for_the_next_keyframe_but_not_for_ever() -> None:
    child = make(Start.LIVE)
    child.place(held(100, 100, 190), 0.0)
    assert not child.has_begun(held(100, 120, 190), 1.0)
    assert child.has_begun(held(100, 150, 190), KEYFRAME_WAIT_SECONDS)
    assert child.cursor == 250


def test_what_the_history_has_lost_is_skipped_to_the_newest_keyframe_by_who_has_begun() -> None:
    history = held(100, 100, 150)
    fresh, begun = make(resume=0), make(resume=0)
    begun.sent(1, 1_328)
    assert (fresh.skip(history), fresh.cursor) == (100, 100)  # who resumes wants all there is
    assert (begun.skip(history), begun.cursor) == (150, 150)
    assert begun.skip(history) == 0


def test_who_was_live_and_lags_for_long_is_put_at_the_newest_keyframe() -> None:
    count = int(RATE * MAX_LAG_SECONDS) + 500
    history = held(0, count, count - 100)
    child = make(resume=0)
    child.sent(1, 1_328)
    assert child.skip(history) == 0
    child.began_live = True
    assert child.skip(history) == count - 100


def test_first_burst_fits_the_receive_buffer() -> None:
    assert first_burst(0) == CATCH_UP_BURST
    assert first_burst(20 * DATAGRAM_COST) == 20
    assert (first_burst(1), first_burst(10**9)) == (MIN_BURST, CATCH_UP_BURST)


def test_snapshot_tells_what_it_has_reported() -> None:
    child = make()
    child.sent(3, 300)
    assert (child.snapshot().lost, child.snapshot().round_trip_ms) == (0, None)
    child.report = ReportBlock(SSRC, 64, 7, 0, 90)
    child.round_trip.note(0.25)
    shown = child.snapshot()
    assert (shown.datagrams, shown.bytes, shown.lost, shown.fraction_lost) == (3, 300, 7, 0.25)
    assert (shown.jitter_ms, shown.round_trip_ms) == (1.0, 250.0)


# Who owns its fields

FIXED = {"key", "identity", "token", "local_ip", "peer_ip", "start", "resume"}
FEEDBACK = {"lease_until", "pace", "repairs", "moves", "next_report", "report", "round_trip",
            "asked_at", "resent", "unrepaired", "reference", "beside", "delay_us",
            "fed_at", "plain", "refused_to", "reports", "reached_at", "answered"}  # fmt: skip
LOCK = {"state", "sender", "floor", "keyframe_by", "began_live", "late", "stalls", "skipped", "address",
        "common", "front", "alone_until"}  # fmt: skip
FEEDER = {"_cursor", "_datagrams", "_bytes"}


def test_every_field_has_one_owner() -> None:
    groups = (FIXED, FEEDBACK, LOCK, FEEDER)
    assert sum(len(group) for group in groups) == len(fields(Child))
    assert set().union(*groups) == {field.name for field in fields(Child)}


class Strict(Child):
    """A child that remembers who changed a field that is not his."""

    lock: threading.Lock  # of the children; set by the test
    trespasses: list[tuple[str, str, ChildState]]

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "asked_at") and hasattr(self, "_bytes") and not self._may(name):
            self.trespasses.append((name, threading.current_thread().name, self.state))
        super().__setattr__(name, value)

    def _may(self, name: str) -> bool:
        thread = threading.current_thread().name
        if name in LOCK:
            return self.lock.locked()
        if name in FEEDER and self.state is not ChildState.GONE:
            return thread == ("pusher" if self.state is ChildState.LIVE else "feedback")
        return name not in FIXED and (name in FEEDER or thread == "feedback")


class OftenFull(TrainSender):
    """A socket that is full in the middle of each tenth train."""

    def send(self, train: Train) -> int:
        if train.count > 1 and random.random() < 0.1:
            return super().send(train.slice(train.first, train.first + train.count // 2))
        return super().send(train)


def test_nobody_changes_a_field_of_another_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "Child", Strict)
    monkeypatch.setattr(rtcp_session, "TrainSender", OftenFull)
    rng = random.Random(1)
    trains = [train(number, 10, keys=[number]) for number in range(0, 2_000, 10)]
    trains[50], trains[55] = trains[55], trains[50]  # one comes late
    with family(offload=False, timing=PATIENT) as parent:
        Strict.lock, Strict.trespasses = parent.fanout._children.lock, []
        parent.join(repair=True)
        parent.fanout.push(trains.pop(0))
        parent.wait_live()
        pusher = Pusher(parent.fanout, trains)
        for turn in range(1, 6):
            viewer = parent.join(repair=True, path=lambda _: int(rng.random() > 0.1))
            parent.wait_next(200 * turn, viewer)
            if turn % 3 == 2:
                viewer.receiver.stop()
        pusher.join()
        staying = [viewer for turn, viewer in enumerate(parent.viewers) if turn % 3 != 2]
        parent.wait_next(2_000, *staying)
        wait_until(lambda: all(viewer.lost == 0 for viewer in staying))
        assert sum(child.stalls for child in parent.fanout.children()) > 0
        assert Strict.trespasses == []
