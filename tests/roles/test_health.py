"""What a node tells the bootstrapper, when, and how many bytes a second that is at most."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Recorder
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.monitoring.registry import Registry
from mcast.overlay.actions import ConnectionId, NodeParent, Parent, Path, ServerParent, UpstreamId
from mcast.overlay.server_choice import Measurement
from mcast.roles.event_tap import EventTap
from mcast.roles.node.catalogue import CatalogueReporter
from mcast.roles.node.content_relay import ChildTimes
from mcast.roles.node.health import INTERVAL, PART_BYTES, RATE, Branch, HealthReporter, Views
from mcast.roles.node.load import ProcessLoad
from mcast.roles.node.relays import RelayDb
from mcast.wire.bootstrap import Health
from mcast.wire.content import ContentInfo
from mcast.wire.frame import encode
from mcast.wire.health import ParentHealth, ServerHealth
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Stream
from mcast.wire.position import Position
from roles.partners import N1, RP, disc, stream_of

START = 10.0**9
VIEWING = stream_of(disc())


@dataclass
class Upstream:
    parent: Parent


@dataclass
class Place:
    """A content's place in the tree."""

    path: Path = (RP, N1)
    children: dict[ConnectionId, Stream] = field(default_factory=lambda: {1: stream_of(disc())})
    fed: bool = True
    upstreams: Mapping[UpstreamId, Upstream] = field(default_factory=lambda: {7: Upstream(NodeParent("rp"))})
    primary: UpstreamId | None = 7
    parent_changes: int = 4
    discontinuities: int = 1


class Relayed:
    """A relay that has lost three datagrams of a hundred."""

    position = Position(7, 100)

    def counters(self) -> ReceiverCounters:
        return COUNTERS

    def delay(self) -> float:
        return 0.0125

    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        return {7: ParentCounters(None, 97, 90, 3, 5, 100, 0.1, 1.5)}

    def child_times(self) -> Mapping[ConnectionId, ChildTimes]:
        return {1: ChildTimes(0.25, -7000)}


COUNTERS = ReceiverCounters(
    datagrams=97, bytes=128_816, lost=3, duplicates=0, reordered=0, repaired=2, foreign=0, garbage=0,
    next=100, longest_gap_ms=43.6, nack_sent=6, doubted=0,
)  # fmt: skip


class Scene:
    """A node whose streams the test makes up, and what it has reported."""

    def __init__(
        self,
        places: dict[str, Place],
        absent: str = "",
        servers: int = 0,
        catalogue: CatalogueReporter | None = None,
    ) -> None:
        self.places, self.tap, self.sent = places, EventTap(), Recorder()
        self.connection: int | None = 1
        measured = {f"10.0.0.{n}:7000": Measurement(100, 200, 300) for n in range(servers)}
        nothing = CatalogueReporter(lambda _: (), lambda: 0)
        views = Views(
            lambda: cast(Mapping[str, Branch], self.places), lambda: ("n9",), lambda: measured,
            nothing if catalogue is None else catalogue, self.tap, lambda: self.connection,
        )  # fmt: skip
        relays = {each: Relayed() for each in places if each != absent}
        self.reporter = HealthReporter(views, cast(RelayDb, relays), self.sent)

    @property
    def reports(self) -> list[Health]:
        return [each for each in self.sent.calls if isinstance(each, Health)]

    def run(self, seconds: float, since: float = START) -> list[Health]:
        """Let time pass in ticks; return what is reported."""
        before = len(self.sent)
        for tick in range(round(seconds * 10)):
            self.reporter.on_tick(since + tick / 10)
        return self.reports[before:]


def test_a_report_tells_of_each_content_its_place_in_the_tree_and_how_it_fares() -> None:
    scene = Scene({"news": Place(), "joining": Place(path=()), "sea": Place(fed=False)}, absent="joining")
    (report,) = scene.run(0.1)
    news, sea = report.streams
    assert (news.content, news.path, news.position, news.fed) == ("news", (RP, N1), Position(7, 100), True)
    assert (news.datagrams, news.octets, news.lost, news.repaired) == (97, 128_816, 3, 2)
    assert (news.nacks, news.longest_gap_ms, news.parent_changes, news.discontinuities) == (6, 44, 4, 1)
    assert news.parents == (ParentHealth("rp", False, True, 1500, 90),)
    assert (news.child_count, news.round_trips_us) == (1, (250,))
    assert (news.delay_us, news.delays_us) == (12_500, (-7_000,))
    assert (sea.content, sea.fed) == ("sea", False)
    assert report.beyond == ("n9",)
    assert report.program
    assert report.memory_kb > 1000


def test_a_rendezvous_point_tells_of_its_servers_and_which_one_is_the_parent() -> None:
    parent = Upstream(ServerParent("10.0.0.0:7000"))
    (report,) = Scene({"news": Place(upstreams={7: parent})}, servers=1).run(0.1)
    assert report.servers == (ServerHealth("10.0.0.0:7000", 100, 200, 300, 240),)
    assert report.streams[0].parents == (ParentHealth("10.0.0.0:7000", True, True, 1500, 90),)


def test_the_catalogue_is_told_beside_the_streams_and_within_the_rate() -> None:
    contents = [ContentInfo(f"content {number:04}", format="h264, aac", loop=True) for number in range(200)]

    def behind(name: str) -> list[tuple[ContentInfo, tuple[str, ...]]]:
        return [(info, ("10.0.0.1:7000", "10.0.0.2:7000")) for info in contents if info.name > name]

    scene = Scene({"news": Place(children=viewers(100))}, catalogue=CatalogueReporter(behind, lambda: 1))
    reports = scene.run(60.0)
    assert sum(len(report.pack()) for report in reports) <= 61 * RATE
    assert all(report.streams for report in reports)
    registry = Registry()
    registry.join("n1", b"", "", START)
    for report in reports:
        registry.heard("n1", report, START)
    assert list(registry.snapshot()["n1"].catalogue) == [info.name for info in contents]


def test_while_the_bootstrapper_hears_nothing_nothing_is_said_and_then_all_that_has_happened() -> None:
    scene = Scene({"news": Place()})
    scene.connection = None
    scene.tap.emit(logging_record("fed", "fed again", content="news", after_ms=35))
    assert scene.run(5.0) == []
    scene.connection = 1
    (report,) = scene.run(0.1, START + 5.0)
    assert [each.name for each in report.events] == ["fed"]
    assert [each.content for each in report.streams] == ["news"]


def test_a_bootstrapper_that_begins_anew_is_told_the_catalogue_again_and_nobody_else_is() -> None:
    known = (ContentInfo("a"), ())
    scene = Scene({}, catalogue=CatalogueReporter(lambda name: [known] if name < "a" else [], lambda: 1))
    told = [report.catalogue for report in scene.run(60.0)]
    assert [page is not None for page in told] == [True, *[False] * (len(told) - 1)]
    scene.connection = 2
    told = [report.catalogue for report in scene.run(60.0, START + 60.0)]
    assert [page is not None for page in told] == [True, *[False] * (len(told) - 1)]


def test_it_reports_from_time_to_time_and_at_once_when_a_tree_has_changed() -> None:
    scene = Scene({"news": Place()})
    assert len(scene.run(INTERVAL / 2)) == 1
    scene.reporter.on_tree_change()
    assert len(scene.run(INTERVAL, START + INTERVAL / 2)) == 1
    assert len(scene.run(INTERVAL, START + INTERVAL * 1.5)) == 1


def test_an_event_is_told_at_once_and_once() -> None:
    scene = Scene({})
    scene.run(0.1)
    record = logging_record("fed", "fed again", content="news", after_ms=35)
    scene.tap.emit(record)
    (report,) = scene.run(0.2, START + 0.1)
    (told,) = report.events
    assert (told.name, told.text, told.content) == ("fed", "fed again", "news")
    assert [(each.name, each.number) for each in told.fields] == [("after_ms", 35)]
    assert scene.run(INTERVAL, START + 1.2)[0].events == ()


def logging_record(event: str, text: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("mcast", logging.INFO, __file__, 1, text, None, None)
    record.__dict__.update(event=event, fields=fields)
    return record


def test_a_report_that_cannot_be_encoded_is_dropped_and_said_and_the_next_one_is_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene({"news": Place(parent_changes=-1)})
    assert scene.run(0.1) == []
    assert "a report to the bootstrapper cannot be sent: -1 does not fit into 4 unsigned bytes" in caplog.text
    scene.places["news"] = Place()
    (report,) = scene.run(0.1, START + INTERVAL)
    assert ([stream.content for stream in report.streams], report.part, report.more) == (["news"], 0, False)


def test_a_node_without_streams_sends_a_heartbeat_alone() -> None:
    reports = Scene({}).run(5)
    assert len(reports) > 1
    assert [report.streams for report in reports] == [()] * len(reports)
    assert max(len(encode(report)) for report in reports) < 80


def viewers(count: int) -> dict[ConnectionId, Stream]:
    numbers = range(1, count + 1)
    return {n: replace(VIEWING, sender=Identity.client(n.to_bytes(16, "big"))) for n in numbers}


def test_of_a_thousand_children_some_are_told_at_a_time_and_the_bootstrapper_gets_to_know_them_all() -> None:
    scene, registry = Scene({"news": Place(children=viewers(1000))}), Registry()
    registry.join("n1", b"", "", 0.0)
    for report in scene.run(60):
        registry.heard("n1", report, 0.0)
    known = registry.snapshot()["n1"].streams["news"]
    assert (known.child_count, len(set(known.children))) == (1000, 1000)
    scene.places["news"].children = viewers(3)
    for report in scene.run(2, START + 60):
        registry.heard("n1", report, 0.0)
    assert len(registry.snapshot()["n1"].streams["news"].children) == 3


def test_many_streams_are_told_in_parts_and_one_that_is_over_is_missing_in_the_next_whole_report() -> None:
    scene, registry = Scene({f"content {n}": Place() for n in range(64)}), Registry()
    registry.join("n1", b"", "", 0.0)

    def hear(seconds: float, since: float) -> set[str]:
        for report in scene.run(seconds, since):
            registry.heard("n1", report, 0.0)
        return set(registry.snapshot()["n1"].streams)

    assert hear(15, START) == set(scene.places)
    del scene.places["content 5"]
    assert hear(30, START + 15) == set(scene.places)


def test_a_stream_whose_tree_has_changed_is_told_before_the_others() -> None:
    scene = Scene({f"content {n}": Place() for n in range(64)})
    scene.run(15)
    scene.places["content 60"].path = (RP, Identity.node("n2"), N1)
    scene.reporter.on_tree_change()
    (report, *_) = scene.run(2, START + 15)
    assert report.streams[0].content == "content 60"


@given(
    st.lists(
        st.builds(
            lambda name, children, path: (name, Place((Identity.node("n" * 64),) * path, viewers(children))),
            st.text("é", min_size=1, max_size=120),
            st.sampled_from([0, 1, 300, 2000]),
            st.sampled_from([1, 3, MAX_PATH + 1]),
        ),
        max_size=8,
    )
)
def test_whatever_a_node_has_its_reports_take_no_more_than_their_rate(
    streams: list[tuple[str, Place]],
) -> None:
    scene = Scene(dict(streams))
    seconds = 20
    sizes = [len(encode(report)) for report in scene.run(seconds)]
    one_ahead = max(sizes)  # the debt of the last report is paid later
    assert sum(sizes) <= RATE * (seconds + 1) + one_ahead
    if all(len(place.path) <= 3 for _, place in streams):
        assert one_ahead <= PART_BYTES + RATE


def test_parts_are_numbered_from_nought_and_the_last_one_says_so() -> None:
    reports = Scene({f"content {n}": Place() for n in range(64)}).run(30)
    assert any(report.more for report in reports)
    for one, other in pairwise(reports):
        assert other.part == (one.part + 1 if one.more else 0)
    assert sum(not report.more for report in reports) > 1


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_whole_report_of_which_a_part_is_missing_ends_no_stream(lost: int) -> None:
    scene, registry = Scene({f"content {n}": Place() for n in range(24)}), Registry()
    registry.join("n1", b"", "", 0.0)
    for report in scene.run(20):
        registry.heard("n1", report, 0.0)
    reports = scene.run(4, START + 20)
    for number, report in enumerate(reports):
        if number != lost:
            registry.heard("n1", report, 0.0)
    assert set(registry.snapshot()["n1"].streams) == set(scene.places)


def test_what_the_workers_of_a_node_take_counts_as_what_the_node_takes() -> None:
    others = [(10.0, 1_000_000)]
    load = ProcessLoad(lambda: others[-1])
    others.append((10.5, 2_000_000))
    cpu_permille, memory_kb = load.look(load._then + 1.0)
    assert cpu_permille >= 500
    assert memory_kb > 2_000_000
