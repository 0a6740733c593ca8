"""What the bootstrapper puts together out of reports that come in parts."""

from dataclasses import replace

from mcast.monitoring.registry import MAX_CHILDREN, MAX_STREAMS, Registry
from mcast.wire.bootstrap import Health
from mcast.wire.health import StreamHealth
from monitoring.overlays import stream, viewer


def known(*reports: Health) -> dict[str, StreamHealth]:
    registry = Registry()
    registry.join("n1", b"", "", 0.0)
    for report in reports:
        registry.heard("n1", report, 0.0)
    return registry.snapshot()["n1"].streams


A, B, C = (stream(content, ("rp", "n1")) for content in "abc")


def test_a_report_without_parts_tells_everything() -> None:
    assert set(known(Health(1, (A, B)), Health(2, (B,)))) == {"b"}


def test_parts_add_up_and_a_whole_report_ends_what_it_does_not_name() -> None:
    first, last = Health(1, (A,), more=True), Health(2, (B,), part=1)
    assert set(known(Health(0, (C,)), first)) == {"a", "c"}
    assert set(known(Health(0, (C,)), first, last)) == {"a", "b"}


def test_a_report_with_a_part_missing_ends_nothing() -> None:
    assert set(known(Health(0, (C,)), Health(1, (A,), more=True), Health(3, (B,), part=2))) == {"a", "b", "c"}
    assert set(known(Health(0, (C,)), Health(3, (B,), part=2))) == {"b", "c"}


def test_of_many_children_those_told_last_are_known_as_many_as_there_are() -> None:
    one = replace(
        A, children=(viewer(1), viewer(2)), round_trips_us=(10, 20), delays_us=(1, 2), child_count=3
    )
    other = replace(A, children=(viewer(3),), round_trips_us=(30,), child_count=3)
    told = known(Health(1, (one,)), Health(2, (other,)))["a"]
    assert dict(zip(told.children, told.round_trips_us, strict=True)) == {
        viewer(3): 30, viewer(1): 10, viewer(2): 20,
    }  # fmt: skip
    assert told.delays_us == (0, 1, 2)
    fewer = replace(other, child_count=2)
    assert known(Health(1, (one,)), Health(2, (fewer,)))["a"].children == (viewer(3), viewer(1))


def test_a_node_that_tells_of_ever_more_children_fills_no_memory() -> None:
    registry = Registry()
    registry.join("n1", b"", "", 0.0)
    for number in range(40):
        children = tuple(viewer(1000 * number + n) for n in range(1000))
        claim = replace(
            A, content="ab"[number % 2], children=children, round_trips_us=(), child_count=2**32 - 1
        )
        registry.heard("n1", Health(number, (claim,), part=number, more=True), 0.0)
    streams = registry.snapshot()["n1"].streams.values()
    assert sum(len(each.children) for each in streams) == MAX_CHILDREN
    assert {each.child_count for each in streams} == {2**32 - 1}


def test_a_node_that_tells_of_ever_more_streams_fills_no_memory() -> None:
    registry = Registry()
    registry.join("n1", b"", "", 0.0)
    for number in range(40):
        told = tuple(replace(A, content=f"{number}-{n}") for n in range(100))
        registry.heard("n1", Health(number, told, part=number, more=True), 0.0)
    streams = registry.snapshot()["n1"].streams
    assert len(streams) == MAX_STREAMS
    assert "39-99" in streams
