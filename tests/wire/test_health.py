"""The parts of a node's report, byte for byte."""

from dataclasses import replace

import pytest

from mcast.wire.bootstrap import Health, unpack
from mcast.wire.health import EventField, EventReport, ParentHealth, ServerHealth, StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position

RP, N1 = Identity.node("rp"), Identity.node("n1")


@pytest.mark.parametrize(
    ("report", "wire"),
    [
        (
            Health(1, program="0.1.0", cpu_permille=125, memory_kb=30_000),
            "04 0d 0008 0000000000000001 29 0004 0000007d 2a 0004 00007530 2f 0005 302e312e30",
        ),
        (Health(1, part=2, more=True), "04 0d 0008 0000000000000001 2d 0002 0002 2e 0001 01"),
        (
            Health(1, servers=(ServerHealth("s:7", 1, 2, 3, 4),)),
            "04 0d 0008 0000000000000001 2b 0022 01 0003 733a37 02 0004 00000001 03 0004 00000002"
            "04 0004 00000003 05 0004 00000004",
        ),
        (
            Health(1, events=(EventReport("fed", "again", 7, "a", (EventField("after_ms", number=9),)),)),
            "04 0d 0008 0000000000000001 2c 0036 01 0003 666564 02 0005 616761696e 03 0008 0000000000000007"
            "04 0001 61 05 0016 01 0008 61667465725f6d73 03 0008 0000000000000009",
        ),
    ],
)
def test_a_report_is_written_and_read_byte_for_byte(report: Health, wire: str) -> None:
    body = bytes.fromhex(wire)
    assert (report.pack().hex(), unpack(body)) == (body.hex(), report)


def test_how_a_stream_was_healed_is_told_of_those_that_had_to_be() -> None:
    begin = "04 0d 0008 0000000000000001 0e {} 01 0001 61 04 000c 00000001 0000000000000002"
    stream = StreamHealth("a", (), (), Position(1, 2))
    assert Health(1, (stream,)).pack() == bytes.fromhex(begin.format("0013"))
    healed = replace(stream, nacks=3, longest_gap_ms=41, parent_changes=2, discontinuities=1)
    begin = begin.format("0033")
    wire = begin + "0f 0008 0000000000000003 10 0004 00000029 11 0004 00000002 12 0004 00000001"
    assert Health(1, (healed,)).pack() == bytes.fromhex(wire)
    assert unpack(bytes.fromhex(wire)) == Health(1, (healed,))


def test_what_is_new_of_a_stream_stands_behind_what_older_versions_know() -> None:
    old = StreamHealth("a", (RP, N1), (N1,), Position(1, 2))
    parent = ParentHealth("s:7", is_server=True, is_primary=True, round_trip_us=250, new=11)
    new = StreamHealth("a", (RP, N1), (N1,), Position(1, 2), 0, True, 70, (1500,), (parent,), 11, 1328, 2)
    before, after = Health(1, (old,)).pack(), Health(1, (new,)).pack()
    begin = len("04 0d 0008 0000000000000001 0e 0000".replace(" ", "")) // 2
    assert after[begin:].startswith(before[begin:])
    assert unpack(after) == Health(1, (new,))
