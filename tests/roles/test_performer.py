"""Actions, done: with upstreams that only note what is done to them, and never end by themselves."""

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.net.ports import MediaPorts
from mcast.net.task_thread import TaskThread
from mcast.net.threads import NoThreadError
from mcast.net.watcher import Watcher
from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent, Subscribe
from mcast.overlay.events import Event, Refused, RoundTripMeasured, Stopped
from mcast.peer.adverts import Advertiser
from mcast.peer.flooder import Flooder
from mcast.peer.upstream import Resume, Upstream
from mcast.roles.node.content_relay import Listeners
from mcast.roles.node.inbound import InboundConnections
from mcast.roles.node.own_process import MediaSettings, OwnProcess
from mcast.roles.node.performer import Performer
from mcast.roles.node.relays import RelayDb
from mcast.wire.bootstrap import Links, NamedAddress, Seek
from mcast.wire.node import MissReason, StopReason
from roles.partners import N1, RP, Peer, disc, new_request, stream_of


class FakeUpstream:
    """A parent that answers neither STOP nor the closing of its connection, until the test lets it."""

    ends = threading.Event()

    def __init__(self, subscribe: Subscribe, resume: Resume) -> None:
        self.id, self.content, self.resume = subscribe.upstream, subscribe.content, resume()
        self.accepted = None
        self.started = self.joined = False
        self.left: StopReason | None = None

    def start(self) -> None:
        self.started = True

    def leave(self, reason: StopReason) -> None:
        self.left = reason

    def join(self) -> None:
        assert self.left is not None
        self.ends.wait(PATIENCE)
        self.joined = True


class Scene:
    """A performer and all that it acts on."""

    def __init__(self, watcher: Watcher, crash: Recorder) -> None:
        self.posted: list[Event] = []
        self.changes = Recorder()
        self.said: list[Seek | Links] = []  # to the bootstrapper
        self.made: dict[int, FakeUpstream] = {}
        self.reaper = TaskThread("reaper", crash)
        self.reaper.start()
        self.advertiser = Advertiser()
        inbound = InboundConnections(watcher, self, self.advertiser.watch)
        listeners = Listeners(self.post, inbound.on_child_lost, inbound.on_child_caught_up, crash)
        self.host = OwnProcess(MediaSettings("n1", MediaPorts()), listeners)
        self.host.start()
        self.relays = RelayDb(self.host, self.reaper, self.post)
        self.flooder = Flooder(watcher, self.post, crash)
        self.performer = Performer(
            inbound, self.flooder, self.advertiser, self.relays, self.reaper, self._make, self.post,
            lambda: self.changes("tree"), self.said.append,
        )  # fmt: skip

    def offer(self, event: Event) -> bool:
        self.posted.append(event)
        return True

    def post(self, event: Event) -> None:
        self.posted.append(event)

    def perform(self, *actions: do.Action) -> None:
        for action in actions:
            self.performer.perform(action)

    def _make(self, subscribe: Subscribe, resume: Resume) -> Upstream:
        self.made[subscribe.upstream] = FakeUpstream(subscribe, resume)
        return cast(Upstream, self.made[subscribe.upstream])


@pytest.fixture
def scene(watcher: Watcher, crash: Recorder) -> Iterator[Scene]:
    FakeUpstream.ends = threading.Event()
    scene = Scene(watcher, crash)
    yield scene
    FakeUpstream.ends.set()
    scene.performer.stop()
    scene.host.stop()


def subscribe(number: int, content: str = "news", *, resume: bool = False) -> Subscribe:
    return Subscribe(number, content, new_request(), NodeParent("rp"), 1, resume=resume)


def test_a_subscription_for_which_there_is_no_thread_is_as_good_as_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: FakeUpstream) -> None:
        raise NoThreadError("can't start new thread")

    monkeypatch.setattr(FakeUpstream, "start", refuse)
    scene.perform(subscribe(1))
    assert scene.posted == [Refused(1, MissReason.CUT, "can't start new thread")]
    scene.perform(do.Leave(1, "news", StopReason.UNSUBSCRIBE))
    FakeUpstream.ends.set()
    wait_until(lambda: scene.made[1].joined)


def test_a_subscription_is_started_and_left_under_its_id(scene: Scene) -> None:
    scene.perform(subscribe(1), subscribe(2), do.Leave(1, "news", StopReason.UNSUBSCRIBE))
    assert (scene.made[1].left, scene.made[2].left) == (StopReason.UNSUBSCRIBE, None)
    assert scene.made[1].started
    assert scene.made[2].started
    FakeUpstream.ends.set()
    wait_until(lambda: scene.made[1].joined)
    assert not scene.made[2].joined


def test_fifty_contents_are_left_side_by_side_though_no_parent_ends(scene: Scene) -> None:
    for number in range(50):
        scene.perform(subscribe(number, f"content {number}"))
    for number in range(50):  # returns at once, as nobody is waited for
        scene.perform(do.Leave(number, f"content {number}", StopReason.LEAVING))
        scene.perform(do.CloseRelay(f"content {number}"))
    assert [upstream.left for upstream in scene.made.values()] == [StopReason.LEAVING] * 50
    assert not any(upstream.joined for upstream in scene.made.values())
    FakeUpstream.ends.set()
    wait_until(lambda: all(upstream.joined for upstream in scene.made.values()))


def test_whatever_the_decider_has_left_is_left_at_the_end(scene: Scene) -> None:
    scene.perform(subscribe(1), subscribe(2, "sea"))
    FakeUpstream.ends.set()
    scene.performer.stop()
    assert [upstream.left for upstream in scene.made.values()] == [StopReason.LEAVING] * 2
    assert all(upstream.joined for upstream in scene.made.values())


def test_no_way_to_the_media_is_posted_as_the_end_of_the_upstream(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(_: Upstream) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(scene.relays, "receive", no_route)
    scene.perform(subscribe(1), do.Receive(1, "news"))
    (event,) = scene.posted
    assert event == Stopped(1, StopReason.ERROR, None, "no way to the media: [Errno 113] No route to host")


def test_who_resumes_without_a_relay_begins_as_any_other(scene: Scene) -> None:
    scene.perform(subscribe(1, resume=True))
    assert scene.made[1].resume is None


def test_a_decision_that_is_told_is_an_event_of_the_log(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fields = (("content", "a %s"), ("server", "s:1"))
    scene.perform(do.Announce("serves", "[a %s] streams from s:1", fields))
    (record,) = caplog.records
    assert record.getMessage() == "[a %s] streams from s:1"
    assert (record.__dict__["event"], record.__dict__["fields"]) == ("serves", dict(fields))


def test_what_changes_a_tree_is_told_and_questions_do_not(scene: Scene) -> None:
    asked = disc()
    scene.perform(do.Ask("n9", asked), do.CancelAsks(asked.request, ("n9",)))
    assert len(scene.changes) == 0
    scene.perform(do.Dismiss(1, "news"))
    assert len(scene.changes) == 1


def test_what_concerns_who_has_left_is_nothing(scene: Scene) -> None:
    asked = stream_of(disc())
    scene.perform(do.Accept(1, asked, (RP, N1), 1), do.Update(1, "news", (RP,), 2, cut=False))
    scene.perform(do.Dismiss(1, "news"), do.CloseRelay("news"))
    assert scene.posted == []


def test_a_node_has_no_use_for_a_clients_actions(scene: Scene) -> None:
    failure = do.SearchFailure(MissReason.ABSENT, "", 1)
    with pytest.raises(TypeError, match="no child of its own"):
        scene.perform(do.Fail("news", failure))


def test_the_bootstrapper_is_asked_and_told_what_the_decisions_say(scene: Scene) -> None:
    scene.perform(do.Seek("news"), do.TakeLinks(("n1", "n2")))
    assert scene.said == [Seek("news"), Links(("n1", "n2"))]


def test_who_is_offered_is_connected_to_and_measured_until_others_are(scene: Scene, peer: Peer) -> None:
    scene.perform(do.Reach((NamedAddress("far", peer.address),)))
    wait_until(lambda: any(isinstance(event, RoundTripMeasured) for event in scene.posted))
    assert scene.flooder.address("far") == peer.address
    scene.perform(do.Reach(()))
    assert scene.flooder.address("far") is None
