"""Transport stream headers, and continuity as ISO 13818-1, 2.4.3.3 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.wire import mpegts
from mcast.wire.mpegts import NULL_PACKET, PACKET, ContinuityChecker, starts_with_pat
from wire.strategies import hostile, unsigned


def packet(head: str, fill: int = 0xFF) -> bytes:
    data = bytes.fromhex(head)
    return data + bytes([fill]) * (PACKET - len(data))


def payload_packet(pid: int, counter: int, fill: int = 0) -> bytes:
    return packet(f"47{pid:04x}{0x10 | counter:02x}", fill)


def field_packet(pid: int, counter: int, flags: int, *, payload: bool, fill: int = 0) -> bytes:
    """Make a packet with an adaptation field of one byte (or of the whole packet)."""
    control = 0x30 if payload else 0x20
    length = 1 if payload else 183
    return packet(f"47{pid:04x}{control | counter:02x}{length:02x}{flags:02x}", fill)


PAT = packet("47 40 00 10")
KEYFRAME = packet("47 41 00 35 07 50 00 00 af c8 fe 2c")  # PCR base 0x15f91 (33 bits), extension 0x2c


def test_the_header_of_a_keyframes_packet_is_read() -> None:
    assert (mpegts.pid_at(KEYFRAME, 0), mpegts.continuity_at(KEYFRAME, 0)) == (0x100, 5)
    assert mpegts.has_payload_at(KEYFRAME, 0)
    assert mpegts.random_access_at(KEYFRAME, 0)
    assert not mpegts.discontinuity_at(KEYFRAME, 0)
    assert mpegts.pcr_at(KEYFRAME, 0) == 0x15F91 * 300 + 0x2C


def test_headers_are_read_inside_of_a_buffer_without_slicing() -> None:
    buffer = memoryview(NULL_PACKET + KEYFRAME)
    assert (mpegts.pid_at(buffer, 0), mpegts.pid_at(buffer, PACKET)) == (mpegts.NULL_PID, 0x100)
    assert mpegts.continuity_at(buffer, PACKET) == 5
    assert mpegts.pcr_at(buffer, PACKET) == 0x15F91 * 300 + 0x2C


def test_the_largest_pcr_is_one_below_the_wrap() -> None:
    last = packet("47 01 00 30 07 10 ff ff ff ff fe" + f"{0x8000 >> 8 | 1:02x}"[-2:] + "2b")
    last = last[:10] + bytes([0xFF, 299 & 0xFF]) + last[12:]
    assert mpegts.pcr_at(last, 0) == mpegts.PCR_WRAP - 1


@pytest.mark.parametrize(
    "head",
    ["47 01 00 10 07 10", "47 01 00 30 00 10", "47 01 00 30 01 10", "47 01 00 30 07 40"],
    ids=["no field", "empty field", "field too short", "no PCR flag"],
)
def test_a_packet_without_pcr_has_none(head: str) -> None:
    assert mpegts.pcr_at(packet(head), 0) is None


def test_a_null_packet_is_188_bytes_of_the_null_pid() -> None:
    assert packet("47 1f ff 10") == NULL_PACKET
    assert mpegts.pid_at(NULL_PACKET, 0) == mpegts.NULL_PID


@pytest.mark.parametrize(
    ("data", "is_pat"),
    [
        (PAT, True),
        (packet("47 60 00 10"), True),  # with transport priority
        (packet("47 00 00 10"), False),  # the rest of a table
        (packet("47 41 00 10"), False),  # PID 0x100
        (packet("48 40 00 10"), False),
        (PAT[:-1], False),
        (b"", False),
    ],
)
def test_a_table_of_programs_is_known_by_its_head(data: bytes, is_pat: bool) -> None:
    assert starts_with_pat(data, 0) is is_pat
    assert starts_with_pat(b"rtp header.." + data, 12) is is_pat


def errors_in(*packets: bytes) -> int:
    """Count the errors, and check that the cut between two calls makes no difference."""
    together, apart = ContinuityChecker(), ContinuityChecker()
    errors = together.feed(b"".join(packets))
    assert sum(apart.feed(one) for one in packets) == errors
    assert (together.errors, together.packets) == (apart.errors, apart.packets) == (errors, len(packets))
    assert together.bytes == PACKET * len(packets)
    return errors


def test_a_stream_in_order_has_no_errors_over_the_wrap_of_the_counter() -> None:
    assert errors_in(*(payload_packet(0x100, number & 15, number) for number in range(40))) == 0


def test_pids_are_counted_apart() -> None:
    assert errors_in(*(payload_packet(pid, number & 15) for number in range(20) for pid in (1, 2, 3))) == 0


def test_each_hole_is_one_error() -> None:
    assert errors_in(*(payload_packet(7, number & 15, number) for number in (0, 1, 3, 4, 9, 10))) == 2


def test_sixteen_lost_packets_are_seen_by_their_content() -> None:
    assert errors_in(payload_packet(7, 3, fill=1), payload_packet(7, 3, fill=2)) == 1


def test_a_packet_may_be_sent_twice_but_not_three_times() -> None:
    one, two = payload_packet(7, 0), payload_packet(7, 1)
    assert errors_in(one, one, two, two) == 0
    assert errors_in(one, one, one) == 1


def test_a_duplicate_may_carry_another_pcr() -> None:
    first, second = (packet(f"47 0100 30 07 10 0000{byte:02x} 00 7e 00", 5) for byte in (1, 2))
    assert errors_in(first, second) == 0


def test_a_packet_without_payload_does_not_count() -> None:
    silent = field_packet(7, 3, 0, payload=False)
    assert errors_in(payload_packet(7, 3), silent, silent, silent, payload_packet(7, 4)) == 0
    assert errors_in(payload_packet(7, 3), field_packet(7, 4, 0, payload=False)) == 1


def test_an_announced_discontinuity_is_no_error() -> None:
    assert errors_in(payload_packet(7, 3), field_packet(7, 9, 0x80, payload=True), payload_packet(7, 10)) == 0
    assert (
        errors_in(payload_packet(7, 3), field_packet(7, 9, 0x80, payload=False), payload_packet(7, 10)) == 0
    )


def test_the_counters_of_another_stream_need_not_follow_on_those_of_the_first() -> None:
    checker = ContinuityChecker()
    checker.feed(payload_packet(7, 3))
    checker.begin_anew()
    assert checker.feed(payload_packet(7, 9) + payload_packet(7, 10)) == 0
    assert (checker.errors, checker.packets) == (0, 3)


def test_null_packets_and_reserved_ones_are_exempt() -> None:
    assert errors_in(NULL_PACKET, NULL_PACKET, NULL_PACKET, packet("47 0007 05"), packet("47 0007 09")) == 0


def test_what_is_no_packet_is_one_error_each() -> None:
    checker = ContinuityChecker()
    assert checker.feed(payload_packet(7, 0) + bytes(PACKET) + payload_packet(7, 1) + b"\x47\x00") == 2
    assert (checker.packets, checker.bytes) == (3, 3 * PACKET + 2)


packets = st.builds(payload_packet, unsigned(13), unsigned(4), unsigned(8)) | st.builds(
    field_packet, unsigned(13), unsigned(4), unsigned(8), payload=st.booleans()
)


@given(hostile(st.lists(packets, max_size=4).map(b"".join)), st.integers(0, 400))
def test_any_bytes_are_judged_and_never_fail(data: bytes, offset: int) -> None:
    assert ContinuityChecker().feed(data) >= 0
    starts_with_pat(data, offset)
    if len(data) >= offset + PACKET:
        pcr = mpegts.pcr_at(data, offset)
        assert pcr is None or 0 <= pcr < mpegts.PCR_WRAP + 300
