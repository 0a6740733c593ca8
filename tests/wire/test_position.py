"""A stream and the number of its next datagram."""

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire.codec import Reader, Writer
from mcast.wire.position import MAX_COUNTED, MAX_NUMBER, NUMBER, POSITION, Position
from wire.strategies import positions


def written(position: Position) -> bytes:
    writer = Writer()
    POSITION.write(writer, position)
    return writer.data()


def test_a_position_is_written_and_read_byte_for_byte() -> None:
    wire, position = bytes.fromhex("deadbeef 0000000000010000"), Position(0xDEADBEEF, 65_536)
    assert (written(position), POSITION.read(Reader(wire))) == (wire, position)
    assert str(position) == "deadbeef:65536"


def test_a_position_cut_short_is_a_wire_error() -> None:
    with pytest.raises(WireError, match="cut short"):
        POSITION.read(Reader(bytes(11)))


@pytest.mark.parametrize(("ssrc", "number"), [(1 << 32, 0), (-1, 0), (0, MAX_COUNTED + 1), (0, -1)])
def test_a_position_that_does_not_fit_is_our_bug_and_is_never_built(ssrc: int, number: int) -> None:
    with pytest.raises(ValueError):
        Position(ssrc, number)


@pytest.mark.parametrize("number", [MAX_NUMBER + 1, MAX_COUNTED, MAX_COUNTED + 1, (1 << 64) - 1])
def test_a_peer_names_no_number_from_which_we_could_count_too_far(number: int) -> None:
    wire = bytes(4) + number.to_bytes(8, "big")
    with pytest.raises(WireError, match=f"datagram number {number}, the highest is {MAX_NUMBER}"):
        POSITION.read(Reader(wire))
    with pytest.raises(WireError, match="the highest"):
        NUMBER.read(Reader(wire[4:]))


def test_what_is_counted_on_from_the_highest_number_of_a_peer_can_be_written() -> None:
    named = POSITION.read(Reader(bytes(4) + MAX_NUMBER.to_bytes(8, "big")))
    assert written(Position(named.ssrc, named.next + 1)) == bytes.fromhex("00000000 4000000000000001")


@pytest.mark.parametrize("number", [-1, MAX_COUNTED + 1])
def test_a_number_that_is_none_of_a_datagram_is_our_bug(number: int) -> None:
    with pytest.raises(ValueError, match="no number of a datagram"):
        NUMBER.write(Writer(), number)


@given(positions)
def test_every_position_round_trips(position: Position) -> None:
    assert POSITION.read(Reader(written(position))) == position
