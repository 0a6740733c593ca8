"""A stream and the number of its next datagram."""

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire.codec import Reader, Writer
from mcast.wire.position import POSITION, Position
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


@pytest.mark.parametrize("position", [Position(1 << 32, 0), Position(0, 1 << 64), Position(0, -1)])
def test_a_position_that_does_not_fit_is_our_bug(position: Position) -> None:
    with pytest.raises(ValueError):
        written(position)


@given(positions)
def test_every_position_round_trips(position: Position) -> None:
    assert POSITION.read(Reader(written(position))) == position
