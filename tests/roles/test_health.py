"""What a node tells the bootstrapper, when, and that it fits a frame."""

from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Recorder
from mcast.overlay.actions import ConnectionId, Path
from mcast.roles.node.health import INTERVAL, MAX_CHILDREN, MAX_STREAMS, HealthReporter, bounded
from mcast.roles.node.relays import RelayDb
from mcast.wire.bootstrap import Health, StreamHealth
from mcast.wire.frame import encode
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Stream
from mcast.wire.position import MAX_COUNTED, Position
from roles.partners import N1, RP, VIEWER, disc, stream_of

LONGEST = Identity.node("n" * 64)


@dataclass
class Branch:
    """A content's place in the tree."""

    path: Path = (RP, N1)
    children: dict[ConnectionId, Stream] = field(default_factory=lambda: {1: stream_of(disc())})
    fed: bool = True


class Relays:
    """Relays that have lost three datagrams of a hundred."""

    position, lost = Position(7, 100), 3

    def __init__(self, *contents: str) -> None:
        self.contents = contents

    def get(self, content: str) -> "Relays | None":
        return self if content in self.contents else None

    def counters(self) -> "Relays":
        return self


def test_a_report_tells_of_each_content_its_place_in_the_tree_and_how_it_fares() -> None:
    branches = {"news": Branch(), "joining": Branch(path=()), "sea": Branch(fed=False)}
    sent = Recorder()
    reporter = HealthReporter(lambda: branches, tuple, cast(RelayDb, Relays("news", "sea")), sent)
    reporter.on_tick(10**9)
    (health,) = sent.calls
    assert isinstance(health, Health)
    news, sea = health.streams
    assert news == StreamHealth("news", (RP, N1), (VIEWER,), Position(7, 100), 3, True)
    assert (sea.content, sea.fed) == ("sea", False)
    assert health.uptime_ms > 0


def test_it_reports_from_time_to_time_and_at_once_when_a_tree_has_changed() -> None:
    sent = Recorder()
    reporter = HealthReporter(dict, tuple, cast(RelayDb, Relays()), sent)
    now = 10.0**9
    reporter.on_tick(now)
    reporter.on_tick(now + INTERVAL / 2)
    assert len(sent) == 1
    reporter.on_tree_change()
    reporter.on_tick(now + INTERVAL / 2)
    assert len(sent) == 2
    reporter.on_tick(now + INTERVAL)
    assert len(sent) == 2
    reporter.on_tick(now + INTERVAL * 1.5)
    assert len(sent) == 3


def test_what_does_not_fit_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    contents = [f"content {number}" for number in range(MAX_STREAMS + 1)]
    sent = Recorder()
    reporter = HealthReporter(
        lambda: {content: Branch() for content in contents}, tuple, cast(RelayDb, Relays(*contents)), sent
    )
    reporter.on_tick(10**9)
    (health,) = sent.calls
    assert isinstance(health, Health)
    assert len(health.streams) == MAX_STREAMS
    assert "not all streams and children fit the report" in caplog.text


def health(content: str, *, children: int = 1, path: int = 2, child: Identity = LONGEST) -> StreamHealth:
    return StreamHealth(content, (LONGEST,) * path, (child,) * children, Position(2**32 - 1, MAX_COUNTED))


def test_what_is_usual_is_told_whole() -> None:
    streams = tuple(health(f"content {number}", children=20) for number in range(10))
    assert bounded(streams) == streams


def test_of_too_many_streams_the_first_are_told() -> None:
    told = bounded([health(str(number)) for number in range(256)])
    assert [stream.content for stream in told] == [str(number) for number in range(MAX_STREAMS)]


def test_of_too_many_children_the_first_are_told_of_all_streams_together() -> None:
    client = Identity.client(bytes(16))
    told = bounded([health("a", children=1500, child=client), health("b", children=4096, child=client)])
    assert [len(stream.children) for stream in told] == [1500, MAX_CHILDREN - 1500]


@given(
    st.lists(
        st.builds(
            health,
            st.sampled_from(["", "é" * 127, "x" * 255]),
            children=st.sampled_from([0, 1, 300, 869, 870, 4096]),
            path=st.integers(1, MAX_PATH + 1),
            child=st.sampled_from([LONGEST, Identity.client(bytes(16)), Identity.node("n")]),
        ),
        max_size=80,
    )
)
def test_whatever_a_node_has_its_report_fits_a_frame(streams: list[StreamHealth]) -> None:
    encode(Health(MAX_COUNTED, bounded(streams)))


def test_the_worst_case_fits_a_frame() -> None:
    streams = [health("x" * 255, children=4096, path=MAX_PATH + 1) for _ in range(256)]
    assert len(encode(Health(0, bounded(streams)))) > 200_000
