"""Sections of tables, put together from packets that split them anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.sections import Sections, checksum
from mcast.wire.mpegts import PACKET
from media.source.transport import PMT, any_packet, in_packets, packet, section

LONGEST = section(0x02, 1, bytes(range(250)) * 4 + bytes(12))  # 1,021 bytes behind the length
SHORT = section(0x02, 1, b"short")


def fed(packets: list[bytes], sections: Sections | None = None) -> list[bytes]:
    sections = sections or Sections()
    return [found.data for each in packets for found in sections.feed(each)]


def test_the_checksum_is_that_of_the_standard() -> None:
    pat = bytes.fromhex("00b00d0001c100000001f000 2ab104b2")  # as ffmpeg writes it
    assert checksum(pat[:-4]) == 0x2AB104B2
    assert checksum(pat) == 0


def test_the_longest_section_lies_in_six_packets() -> None:
    packets = in_packets(PMT, [LONGEST])
    assert (len(LONGEST), len(packets)) == (1024, 6)
    sections = Sections()
    (found,) = [found for each in packets for found in sections.feed(each)]
    assert (found.data, found.packets) == (LONGEST, tuple(packets))
    assert len(found.body) == 1012


rooms = st.lists(st.integers(2, 184), min_size=1, max_size=8)
several = st.lists(
    st.builds(section, st.sampled_from([0, 2, 0x42]), st.integers(0, 0xFFFF), st.binary(max_size=400)),
    min_size=1, max_size=4,
)  # fmt: skip


@given(several, rooms, st.integers(0, 15))
def test_any_split_of_any_sections_over_packets_gives_the_same_sections(
    made: list[bytes], rooms: list[int], count: int
) -> None:
    assert fed(in_packets(PMT, made, rooms, count)) == made


@given(several, rooms, st.data())
def test_a_packet_that_is_missing_costs_its_sections_and_makes_no_others(
    made: list[bytes], rooms: list[int], data: st.DataObject
) -> None:
    packets = in_packets(PMT, made, rooms)
    del packets[data.draw(st.integers(0, len(packets) - 1))]
    assert set(fed(packets)) <= set(made)


def test_a_section_that_lacks_its_end_does_not_spoil_the_next() -> None:
    packets = in_packets(PMT, [LONGEST])
    again = in_packets(PMT, [SHORT], count=6)
    assert fed([*packets[:3], *packets[4:], *again]) == [SHORT]
    assert fed([*packets[:3], *again]) == [SHORT]


def test_a_packet_that_is_sent_twice_counts_once() -> None:
    packets = in_packets(PMT, [LONGEST])
    assert fed([each for packet in packets for each in (packet, packet)]) == [LONGEST]


def test_a_section_that_is_sent_again_is_found_again_though_its_counters_run_backwards() -> None:
    packets = in_packets(PMT, [LONGEST])
    assert fed([*packets, *packets]) == [LONGEST, LONGEST]


def test_packets_without_a_payload_between_two_change_nothing() -> None:
    first, *others = in_packets(PMT, [LONGEST])
    alone = bytes([0x47, PMT >> 8, PMT & 0xFF, 0x20, 183]) + bytes(183)
    assert fed([first, alone, *others]) == [LONGEST]


@pytest.mark.parametrize(
    ("at", "bits"), [(1, 0x80), (3, 0x80), (100, 0x01)], ids=["said to be damaged", "scrambled", "damaged"]
)
def test_what_is_damaged_is_dropped(at: int, bits: int) -> None:
    packets = in_packets(PMT, [SHORT, LONGEST, SHORT])
    packets[2] = packets[2][:at] + bytes([packets[2][at] ^ bits]) + packets[2][at + 1 :]
    assert fed(packets) == [SHORT, SHORT]


def test_a_short_header_is_left_out() -> None:
    private = bytes([0x70, 0x70, 0x05]) + bytes(5)
    assert fed(in_packets(PMT, [private, SHORT])) == [SHORT]


@given(st.lists(any_packet, max_size=20))
def test_any_packets_give_right_sections_or_none(packets: list[bytes]) -> None:
    assert all(checksum(found) == 0 for found in fed(packets))


def test_no_byte_of_garbage_is_kept_for_long() -> None:
    sections = Sections()
    endless = [packet(PMT, start=not count, count=count, body=b"\0\x02\xbf\xff") for count in range(100)]
    for each in endless:
        sections.feed(each)
    assert all(a != b for a, b in pairwise(endless))
    assert len(sections._begun or b"") <= 4096 + PACKET
