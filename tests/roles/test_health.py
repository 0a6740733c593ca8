from hypothesis import given
from hypothesis import strategies as st

from mcast.roles.node.health import MAX_CHILDREN, MAX_STREAMS, bounded
from mcast.wire.bootstrap import Health, StreamHealth
from mcast.wire.frame import encode
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH
from mcast.wire.position import MAX_COUNTED, Position

LONGEST = Identity.node("n" * 64)


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
