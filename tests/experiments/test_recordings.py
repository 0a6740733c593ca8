"""What several recordings have in common."""

from pathlib import Path

import pytest

from tools.demo.check import Sent
from tools.experiments import recordings
from tools.experiments.recordings import Piece, common_part

STREAM = bytes(range(256)) * 40
DATAGRAM = 100  # bytes of each, in this test's stream


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    monkeypatch.setattr(recordings, "sent_between", lambda _, first, end: (end - first) * DATAGRAM)
    return Sent(Path("unused"))


def piece(first: int, end: int) -> Piece:
    return Piece(first, STREAM[first * DATAGRAM : end * DATAGRAM])


def test_recordings_are_compared_where_all_of_them_have_something(sent: Sent) -> None:
    common = common_part({"a": piece(0, 50), "b": piece(10, 90), "c": piece(5, 60)}, sent)
    assert (common.size, common.identical) == (40 * DATAGRAM, True)


def test_one_changed_byte_is_found(sent: Sent) -> None:
    data = bytearray(piece(10, 90).data)
    data[1234] ^= 1
    assert not common_part({"a": piece(0, 90), "b": Piece(10, bytes(data))}, sent).identical


def test_a_lost_datagram_is_found(sent: Sent) -> None:
    data = piece(0, 20).data + piece(21, 60).data
    assert not common_part({"a": piece(0, 60), "b": Piece(0, data)}, sent).identical


def test_recordings_without_a_common_part_are_not_identical(sent: Sent) -> None:
    assert not common_part({"a": piece(0, 10), "b": piece(20, 30)}, sent).identical
