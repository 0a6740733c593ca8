from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.ts_inspection import SDT_PID, survey, without_tables
from mcast.wire.mpegts import PACKET
from media.source.transport import PMT, VIDEO, packet, pat, pes

IDR, SLICE, SPS, PPS = b"\0\0\1\x65", b"\0\0\1\x41", b"\0\0\0\1\x67", b"\0\0\0\1\x68"
DELIMITER, BUFFERING_PERIOD, OTHER_SEI = b"\0\0\0\1\x09\xf0", b"\0\0\1\x06\0\7", b"\0\0\1\x06\5\7"


def keyframe(*units: bytes, pcr: int = 0) -> bytes:
    picture = packet(VIDEO, start=True, pcr=pcr, body=pes(pcr // 300) + b"".join(units))
    return pat() + packet(PMT, start=True) + picture


GOOD = keyframe(SPS, PPS, IDR)


def fault(stream: bytes, *, has_video: bool = True) -> str:
    return survey(stream, has_video=has_video).fault


def test_keyframes_counters_and_times_are_found() -> None:
    found = survey(GOOD + packet() * 3 + keyframe(SPS, PPS, IDR, pcr=300 * 90_000), has_video=True)
    assert found.fault == ""
    assert found.keyframes == (0, 6)
    assert found.keyframe_times == (0, 90_000)
    assert found.counters == {0: 2, PMT: 2, VIDEO: 5}


def test_each_kind_of_unfit_stream_is_told() -> None:
    assert "no clock" in fault(packet() * 3)
    assert "does not begin" in fault(packet(pcr=0) + GOOD)
    assert "no PMT" in fault(pat() + packet(pcr=0))
    assert "no PMT" in fault(GOOD + pat())
    assert "not next to each other" in fault(pat() + packet(PMT) + packet(257) + packet(start=True, pcr=0))
    assert "not next to each other" in fault(GOOD + packet(start=True, pcr=9))
    assert "open GOP" in fault(keyframe(SPS, PPS, SLICE))
    assert "parameter sets" in fault(GOOD + keyframe(SPS, IDR))
    assert "no picture" in fault(keyframe(SPS, PPS))


def test_parameter_sets_come_before_what_refers_to_them() -> None:
    for units in ((SPS, PPS, BUFFERING_PERIOD), (OTHER_SEI, SPS, PPS), (SPS, PPS, BUFFERING_PERIOD, SPS)):
        assert fault(GOOD + keyframe(DELIMITER, *units, IDR)) == ""
    for before in ((), (SPS, PPS)):  # these belong to no picture, or to the one before
        late = survey(GOOD + keyframe(*before, DELIMITER, BUFFERING_PERIOD, SPS, PPS, IDR), has_video=True)
        assert late.has_late_sets
        assert "behind what refers to them" in late.fault
    assert not survey(GOOD, has_video=True).has_late_sets


def test_the_picture_is_found_across_packets() -> None:
    head = keyframe(SPS, PPS, b"\0\0\1\x06" + b"\x55" * 120)[: 3 * PACKET]
    assert fault(head + packet(257) + packet(body=IDR)) == ""


def test_sound_alone_needs_tables_but_no_pictures() -> None:
    assert fault(pat() + packet(PMT) + packet(start=True, pcr=0) * 3, has_video=False) == ""


@given(st.lists(st.integers(0, 2)))
def test_unwanted_tables_are_left_out_and_nothing_else(kinds: list[int]) -> None:
    samples = [packet(SDT_PID), packet(0x111), packet(VIDEO, body=b"\x11")]
    stream = b"".join(samples[kind] for kind in kinds)
    assert without_tables(stream, SDT_PID) == b"".join(samples[kind] for kind in kinds if kind)


@given(
    st.lists(st.binary(min_size=187, max_size=187).map(lambda rest: b"\x47" + rest)).map(b"".join),
    st.booleans(),
)
def test_any_packets_can_be_looked_through(data: bytes, has_video: bool) -> None:
    assert survey(data, has_video=has_video).packets == len(data) // PACKET
    assert survey(GOOD + data, has_video=has_video).packets == 3 + len(data) // PACKET
