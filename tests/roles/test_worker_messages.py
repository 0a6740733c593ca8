"""What a node and its workers say to each other, and the socketpair that carries it."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.media.child import ChildLost
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.overlay.admission import MAX_CHILDREN
from mcast.overlay.events import Feed
from mcast.roles.node.content_relay import ChildTimes, Newcomer
from mcast.roles.node.workers import messages
from mcast.roles.node.workers.pipe import Pipe, pair
from mcast.roles.node.workers.values import ChildFigures, ParentFigures, Stand
from mcast.wire.codec import Writer
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from wire.strategies import contents, exactly, ips, numbers, positions, taken, tuples_of, unsigned

HERE = Position(0x12345678, 1000)
TOKEN = bytes(range(16))

# What is said

counts = st.integers(0, (1 << 63) - 1)
ids = unsigned(64)
milliseconds = st.floats(0, 1e9)
newcomers = st.builds(
    Newcomer, ids, contents, ips, ips, exactly(16), st.none() | positions, st.sampled_from(Start),
    unsigned(40), unsigned(16),
)  # fmt: skip
counters = st.builds(ReceiverCounters, *(counts,) * 9, milliseconds, counts, counts, counts)
stands = st.builds(
    Stand, unsigned(32), positions, numbers, st.none() | st.floats(0, 1e12), st.none() | st.floats(-600, 600),
    counters,
)  # fmt: skip
parents = st.builds(
    ParentFigures, ids,
    st.builds(
        ParentCounters, st.none() | st.sampled_from(Feed), counts, counts,
        st.integers(-(1 << 63), (1 << 63) - 1), counts, counts, milliseconds, st.none() | milliseconds,
    ),
)  # fmt: skip
times = st.builds(ChildTimes, st.none() | st.floats(0, 1e9, width=32), st.integers(-(1 << 31), (1 << 31) - 1))
children = st.builds(ChildFigures, unsigned(40), unsigned(16), times)
relays = unsigned(32)
ORDERS: st.SearchStrategy[messages.Order] = st.one_of(
    st.builds(messages.Begin, contents, unsigned(16), unsigned(32), unsigned(64), unsigned(16)),
    st.builds(messages.Open, relays, contents, positions, st.none() | numbers),
    st.builds(messages.AddParent, relays, ids, exactly(16), positions, st.none() | numbers),
    st.builds(messages.RemoveParent, relays, ids),
    st.builds(messages.TakeIn, relays, newcomers),
    st.builds(messages.Dismiss, relays, ids),
    st.builds(messages.TellState, relays, st.sampled_from(FeedState), st.booleans()),
    st.builds(messages.AwaitDrain, relays, numbers),
    st.builds(messages.Close, relays),
)
FACTS: st.SearchStrategy[messages.Fact] = st.one_of(
    st.builds(messages.Stands, ids, unsigned(32), tuples_of(stands)),
    st.builds(messages.Figures, relays, tuples_of(parents), tuples_of(children)),
    st.builds(messages.FeedChanged, ids, st.sampled_from(Feed), ids),
    st.builds(messages.Outdone, ids),
    st.builds(messages.Drained, contents, tuples_of(ids)),
    st.builds(messages.ChildGone, ids, st.sampled_from(ChildLost)),
    st.builds(messages.NoSocket, relays, ids),
    st.builds(messages.CaughtUp, ids),
    st.builds(messages.Line, st.dictionaries(contents, contents | counts | st.none(), max_size=3)),
)


@given(ORDERS)
def test_every_order_arrives_as_it_was_given(order: messages.Order) -> None:
    assert messages.unpack_order(order.pack()) == order


@given(FACTS)
def test_every_fact_arrives_as_it_was_told(fact: messages.Fact) -> None:
    assert messages.unpack_fact(fact.pack()) == fact


@given(st.binary(max_size=200) | ORDERS.map(lambda order: order.pack()[:-1]))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    for unpack in (messages.unpack_order, messages.unpack_fact):
        if (message := taken(unpack, data)) is not None:
            assert unpack(message.pack()) == message


def test_an_order_is_written_byte_for_byte() -> None:
    order = messages.AddParent(7, 9, TOKEN, HERE, 1002)
    wire = (
        "03 01 0004 00000007 02 0008 0000000000000009 03 0010 000102030405060708090a0b0c0d0e0f"
        "04 000c 12345678 00000000000003e8 05 0008 00000000000003ea"
    )
    assert order.pack() == bytes.fromhex(wire.replace(" ", ""))


def test_an_order_is_no_fact_and_a_fact_no_order() -> None:
    with pytest.raises(WireError, match="CLOSE is for the other end"):
        messages.unpack_fact(messages.Close(1).pack())
    with pytest.raises(WireError, match="OUTDONE is for the other end"):
        messages.unpack_order(messages.Outdone(1).pack())


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (bytes(64), "64 bytes are no rows of 65"),
        (bytes(8) + b"\x77" + bytes(56), "119 is not a valid Feed"),
    ],
)
def test_rows_that_are_cut_short_or_hold_no_known_state_are_refused(rows: bytes, complaint: str) -> None:
    writer = Writer()
    writer.u8(messages.Flag.FIGURES)
    for kind, value in ((1, bytes(4)), (2, rows), (3, b"")):
        writer.tlv(kind, value)
    with pytest.raises(WireError, match=complaint):
        messages.unpack_fact(writer.data())


# How it is carried


@pytest.fixture
def ends() -> Iterator[tuple[Pipe[messages.Fact], Pipe[messages.Order]]]:
    """The node's end, and the worker's."""
    ours, theirs = pair()
    worker = Pipe(theirs, messages.unpack_order)
    yield ours, worker
    ours.close()
    worker.close()


def test_a_socket_comes_with_its_message_and_is_the_same_socket(
    ends: tuple[Pipe[messages.Fact], Pipe[messages.Order]],
) -> None:
    ours, theirs = ends
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        ours.send(messages.RemoveParent(1, 2))
        ours.send(messages.AddParent(1, 2, TOKEN, HERE), [sock])
        assert theirs.receive() == (messages.RemoveParent(1, 2), [])
        order, (shared,) = theirs.receive()
        with shared:
            assert order == messages.AddParent(1, 2, TOKEN, HERE)
            assert shared.getsockname() == sock.getsockname()
            assert not shared.get_inheritable()


def test_all_children_that_a_content_may_have_go_into_one_message(
    ends: tuple[Pipe[messages.Fact], Pipe[messages.Order]],
) -> None:
    ours, theirs = ends
    times = ChildTimes(0.5, -7000)
    crowd = messages.Figures(1, (), tuple(ChildFigures(key, 40_000, times) for key in range(MAX_CHILDREN)))
    theirs.send(crowd)
    assert ours.receive() == (crowd, [])


def test_who_waits_for_the_other_end_hears_of_its_end(
    ends: tuple[Pipe[messages.Fact], Pipe[messages.Order]],
) -> None:
    ours, theirs = ends
    with pytest.raises(TimeoutError):
        ours.receive(0.001)
    ours.send(messages.Close(1))
    ours.finish()
    assert theirs.receive(0.0) == (messages.Close(1), [])
    with pytest.raises(EOFError):
        theirs.receive()
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        ours.send(messages.Close(1))


def test_a_message_that_nobody_has_written_is_refused_and_its_sockets_are_closed() -> None:
    ours, theirs = pair()
    with theirs, socket.socket() as sock:
        socket.send_fds(theirs, [b"\xff"], [sock.fileno()])
        with pytest.raises(WireError, match="unknown Flag 255"):
            ours.receive()
    ours.close()
