"""What is read at a glance is what the full reader reads; whatever else comes is left to that one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.media.plain_report import MAX_LESSONS, PlainReports
from mcast.media.reports import Speaker, read_child_report
from mcast.wire.rtcp import ReceiverReport, ReportBlock, Sdes, pack_compound, token_app
from media.plane.streams import SSRC

TOKEN = b"t" * 16
OTHER = SSRC + 1
U32 = st.integers(0, (1 << 32) - 1)
BLOCKS = st.builds(
    ReportBlock, st.sampled_from([SSRC, OTHER]), st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1),
    U32, U32, U32, U32,
)  # fmt: skip
SPEAKERS = st.builds(
    Speaker, st.sampled_from([5, 6]), st.sampled_from(["me", "m" * 255]), st.sampled_from([TOKEN, b"x" * 16])
)
SAID = st.builds(
    lambda speaker, block, missing, reference, delay_us, beside, bye: speaker.compound(
        block, missing, reference=reference, delay_us=delay_us, beside=beside, bye=bye
    ),
    SPEAKERS, BLOCKS, st.lists(st.integers(0, 1 << 20), max_size=3),
    st.none() | st.integers(0, (1 << 64) - 1), st.integers(-(1 << 31), (1 << 31) - 1),
    st.booleans(), st.booleans(),
)  # fmt: skip


def known() -> PlainReports:
    plain = PlainReports(SSRC)
    plain.learn(Speaker(5, "me", TOKEN).compound(ReportBlock(SSRC, 0, 0, 0, 0)))
    return plain


def full(data: bytes) -> object:
    try:
        return read_child_report(data, SSRC)
    except WireError:
        return None


@given(SAID, st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=3), st.integers(-5, 5))
def test_a_glance_sees_what_the_full_reader_reads_or_nothing(
    said: bytes, changes: list[tuple[int, int]], more: int
) -> None:
    data = bytearray(said)
    for at, byte in changes:
        data[at % len(data)] = byte
    data = data + bytes(more) if more >= 0 else data[:more]
    seen = known().read(bytes(data))
    if seen is not None:
        assert seen == full(bytes(data))
        assert TOKEN in data


@pytest.mark.parametrize(
    ("reference", "delay_us"), [(None, 0), (0x0123_4567_89AB_CDEF, 0), (0x0123_4567_89AB_CDEF, -12_345)]
)
def test_a_plain_report_is_read_at_a_glance_once_it_is_known(reference: int | None, delay_us: int) -> None:
    said = Speaker(5, "me", TOKEN).compound(
        ReportBlock(SSRC, 64, -2, 0x1_0005, 90, 7, 8), reference=reference, delay_us=delay_us
    )
    assert PlainReports(SSRC).read(said) is None
    assert known().read(said) == read_child_report(said, SSRC)


def test_what_is_no_plain_report_of_this_child_takes_the_long_way() -> None:
    plain, block, mine = known(), ReportBlock(SSRC, 0, 0, 0, 0), Speaker(5, "me", TOKEN)
    for other in (
        mine.compound(block, (7,)),
        mine.compound(block, bye=True),
        mine.compound(block, beside=True),
        mine.compound(ReportBlock(OTHER, 0, 0, 0, 0)),
        Speaker(5, "me", b"x" * 16).compound(block),
        Speaker(6, "me", TOKEN).compound(block),
        Speaker(5, "he", TOKEN).compound(block),
        mine.compound(block)[:-1],
        b"",
    ):
        assert plain.read(other) is None


def test_a_peer_that_writes_otherwise_is_not_studied_for_ever() -> None:
    plain = PlainReports(SSRC)
    odd = pack_compound(
        (ReceiverReport(5, (ReportBlock(SSRC, 0, 0, 0, 0),)), token_app(5, TOKEN), Sdes(5, "me"))
    )
    for _ in range(MAX_LESSONS):
        plain.learn(odd)
        assert plain.read(odd) is None
    usual = Speaker(5, "me", TOKEN).compound(ReportBlock(SSRC, 0, 0, 0, 0))
    plain.learn(usual)
    assert plain.read(usual) is None  # it is read in full, as before
