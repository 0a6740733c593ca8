"""Which programme of a stream decides, as its tables come and change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.programme import Programme
from mcast.media.tables import MAX_PROGRAMMES, Tables
from mcast.wire.mpegts import NULL_PID, PACKET, pid_at
from media.source.transport import PMT, in_packets, pat_section, pmt_section, section

H264, MP2, PRIVATE = 0x1B, 0x03, 0x06
Streams = tuple[tuple[int, int], ...]
NEWS: Streams = ((0x100, H264), (0x101, MP2))
SPORT: Streams = ((0x200, H264), (0x201, MP2))
RADIO: Streams = ((0x301, MP2),)


def told(*packets: bytes, tables: Tables | None = None) -> Tables:
    tables = tables or Tables()
    for each in packets:
        tables.feed(each)
    return tables


def pat(programmes: dict[int, int], *, version: int = 0, is_current: bool = True) -> bytes:
    (made,) = in_packets(0, [pat_section(programmes, version=version, is_current=is_current)])
    return made


def pmt(streams: Streams, pid: int = PMT, number: int = 1, count: int = 0) -> bytes:
    (made,) = in_packets(pid, [pmt_section(streams, number)], count=count)
    return made


ALL = {1: 0x20, 2: 0x21, 3: 0x22}


def test_the_first_programme_whose_table_comes_decides() -> None:
    tables = told(pat({0: 0x10, **ALL}), pmt(SPORT, 0x21, 2))
    assert tables.pids == {0, 0x20, 0x21, 0x22}
    assert tables.programme.streams == SPORT
    told(pmt(NEWS, 0x20, 1), tables=tables)
    assert tables.programme.streams == NEWS, "it is named before the other one"


def test_a_programme_with_a_picture_goes_before_one_without() -> None:
    tables = told(pat(ALL), pmt(RADIO, 0x20, 1))
    assert tables.programme.streams == RADIO
    told(pmt(NEWS, 0x22, 3), pmt(RADIO, 0x20, 1, count=1), tables=tables)
    assert tables.programme.streams == NEWS


def test_a_viewer_needs_the_pat_and_all_packets_of_that_programmes_pmt() -> None:
    names = bytes([0x0A, 4]) + b"deu\0"
    many = in_packets(0x21, [pmt_section([(0x100 + n, H264) for n in range(60)], 2, descriptors=names)])
    tables = told(pat(ALL), pmt(RADIO, 0x20, 1), *many)
    assert len(many) == 4
    assert tables.packets == (pat(ALL), *many)
    assert len(tables.programme.streams) == 60


def test_a_table_for_later_says_nothing_now() -> None:
    tables = told(pat({1: PMT}), pmt(NEWS), pat({1: 0x50}, version=1, is_current=False))
    (later,) = in_packets(PMT, [pmt_section(SPORT, is_current=False)], count=1)
    told(later, tables=tables)
    assert (tables.programme.streams, tables.pids) == (NEWS, {0, PMT})


def test_a_new_version_of_the_pat_replaces_the_old_one() -> None:
    tables = told(pat({1: 0x20}), pmt(NEWS, 0x20))
    told(pat({1: 0x21}, version=1), tables=tables)
    assert tables.programme.streams == NEWS, "until it is known what there is now"
    told(pmt(RADIO, 0x20, count=1), pmt(SPORT, 0x21), tables=tables)
    assert (tables.programme.streams, tables.pids) == (SPORT, {0, 0x21})


def test_a_pat_may_have_several_parts() -> None:
    rows = [number.to_bytes(2, "big") + (0xE000 | 0x20 + number).to_bytes(2, "big") for number in range(1, 5)]
    parts = [section(0, 1, rows[2 * n] + rows[2 * n + 1], number=n, last=1) for n in range(2)]
    packets = in_packets(0, parts, [100])
    tables = told(*packets)
    assert tables.pids == {0, 0x21, 0x22, 0x23, 0x24}
    assert tables.packets == tuple(packets)
    told(pat({1: 0x21}, version=1), tables=tables)
    assert tables.pids == {0, 0x21}, "no part of the older version counts any more"


def test_two_programmes_may_share_a_pid() -> None:
    both = in_packets(PMT, [pmt_section(SPORT, 2), pmt_section(NEWS, 1)])
    assert told(pat({1: PMT, 2: PMT}), *both).programme.streams == NEWS
    assert told(pat({2: PMT}), *both).programme.streams == SPORT


def test_a_programme_that_was_numbered_anew_is_found_by_the_pid_of_its_table() -> None:
    assert told(pat({1: PMT}), pmt(NEWS, number=28_106)).programme.streams == NEWS


def test_a_programme_whose_picture_does_not_come_is_passed_over_until_it_does() -> None:
    tables = told(pat(ALL), pmt(NEWS, 0x20, 1), pmt(SPORT, 0x21, 2))
    tables.pass_over()
    assert (tables.programme.streams, tables.is_led) == (SPORT, True)
    tables.pass_over()
    assert (tables.programme.streams, tables.is_led) == (NEWS, False), "there is no other"
    tables.note(0x200)
    assert (tables.programme.streams, tables.is_led) == (SPORT, True)
    tables.note(0x100)
    assert tables.programme.streams == NEWS


@pytest.mark.parametrize(
    ("descriptors", "kind"),
    [
        (bytes([0x0A, 1, 7, 0x6A, 1, 0x40]), "AC-3"),
        (bytes([0x7A, 0]), "E-AC-3"),
        (bytes([0x59, 1, 9]), ""),
        (b"\x6a", ""),
    ],
)
def test_sound_that_only_a_descriptor_tells_is_named(descriptors: bytes, kind: str) -> None:
    (made,) = in_packets(PMT, [pmt_section([(0x100, PRIVATE)], descriptors=descriptors)])
    programme = told(pat({1: PMT}), made).programme
    assert programme.unplayable == ((kind,) if kind else ())
    assert programme.audio == (0x100 if kind else None)


def test_data_is_nothing_that_a_browser_should_play() -> None:
    kinds = (H264, 0x0F, 0x05, PRIVATE, 0x0B, 0x86)
    programme = Programme(tuple((0x100 + n, kind) for n, kind in enumerate(kinds)))
    assert programme.unplayable == ()
    assert programme.accompanying == {0x101, 0x103}


@pytest.mark.parametrize(
    "body", [b"", b"\xe1\x00\xf0", b"\xe1\x00\xf0\x09" + bytes(5), b"\xe1\x00\xf0\x00\x1b\xe1\x00\xf0\x07"]
)
def test_a_table_that_contradicts_itself_says_nothing(body: bytes) -> None:
    (made,) = in_packets(PMT, [section(0x02, 1, body)], count=1)
    assert told(pat({1: PMT}), pmt(NEWS), made).programme.streams == NEWS


def test_a_few_bytes_too_many_behind_a_table_do_no_harm() -> None:
    body = pmt_section(NEWS)[8:-4] + b"\xff" * 4
    assert told(pat({1: PMT}), *in_packets(PMT, [section(0x02, 1, body)])).programme.streams == NEWS


def test_a_programme_without_a_clock_says_so() -> None:
    (made,) = in_packets(PMT, [pmt_section(NEWS, clock=NULL_PID)])
    assert told(pat({1: PMT}), made).programme == Programme(NEWS, None)


def test_what_a_pat_names_is_bounded() -> None:
    rows = {number: 0x20 + number for number in range(1, 254)}
    body = pat_section(rows)[8:-4] + pat_section({number + 300: number + 900 for number in rows})[8:-4]
    parts = [section(0, 1, body[at : at + 1012], number=at // 1012, last=1) for at in (0, 1012)]
    assert len(told(*in_packets(0, parts)).pids) == MAX_PROGRAMMES + 1


streams = st.lists(st.tuples(st.integers(0x20, 0x1FFE), st.integers(0, 255)), max_size=100)


@given(streams, st.lists(st.integers(2, 184), min_size=1, max_size=20), st.integers(0, 15))
def test_any_split_of_a_pmt_over_packets_gives_the_same_programme(
    listed: list[tuple[int, int]], rooms: list[int], count: int
) -> None:
    packets = in_packets(PMT, [pmt_section(listed, descriptors=b"\x0a\x01x")], rooms, count)
    assert told(pat({1: PMT}), *packets).programme.streams == tuple(listed)


sections = st.builds(
    section,
    st.sampled_from([0, 2, 0x70]),
    st.integers(0, 3),
    st.binary(max_size=24),
    version=st.integers(0, 3),
    is_current=st.booleans(),
    number=st.integers(0, 3),
    last=st.integers(0, 3),
)
anything = st.builds(
    in_packets,
    st.sampled_from([0, PMT, 0x21]),
    st.lists(sections, min_size=1, max_size=3),
    st.sampled_from([(184,), (40, 7), (100,)]),
)


@given(st.lists(anything, max_size=4))
def test_sections_that_say_anything_are_taken_without_a_complaint(runs: list[list[bytes]]) -> None:
    tables = told(pat({1: PMT, 2: 0x21}))
    for each in [packet for run in runs for packet in run]:
        tables.feed(each)
        tables.pass_over()
        tables.note(pid_at(each, 0))
        assert all(len(packet) == PACKET for packet in tables.packets)
    assert len(tables.pids) <= MAX_PROGRAMMES + 1
