"""What parent and child write to each other, and that strangers' packets cost little."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.media.reports import (
    SenderInfo,
    SenderRound,
    Speaker,
    Supply,
    find_token,
    read_child_report,
    reference_answer,
    reference_delay,
    reference_time,
    round_trip,
    sender_compound,
    sender_info,
)
from mcast.wire.rtcp import (
    Bye,
    ExtendedReport,
    FeedState,
    ReceiverReport,
    ReferenceDelay,
    ReportBlock,
    Sdes,
    SenderReport,
    middle32,
    ntp_from_unix,
    pack_compound,
    read_state,
    read_token,
    unpack_compound,
)
from media.plane.streams import SSRC, train

TOKEN = b"t" * 16
BLOCK = ReportBlock(SSRC, 0, 0, 77, 0)


def said(*missing: int, bye: bool = False, cname: str = "me", block: ReportBlock = BLOCK) -> bytes:
    return Speaker(5, cname, TOKEN).compound(block, missing, bye=bye)


def test_parent_reads_what_its_child_says() -> None:
    report = read_child_report(said(65_536 + 3, 4), SSRC)
    assert (report.block, report.greets, report.missing, report.bye) == (BLOCK, True, (3, 4), False)
    assert read_child_report(said(bye=True), SSRC).bye


def test_what_is_said_of_another_stream_is_left_out() -> None:
    report = read_child_report(said(3, 4), SSRC + 1)
    assert (report.block, report.greets, report.missing) == (None, False, ())
    empty = pack_compound((ReceiverReport(5, ()), Sdes(5, "me"), Bye((5,))))
    assert read_child_report(empty, SSRC).greets  # it expects whatever there is


def test_token_is_found_without_reading_the_rest() -> None:
    assert find_token(said(3, 4)) == TOKEN
    assert find_token(said(cname="MCST" * 5)) == TOKEN  # a name is no token
    assert find_token(said()[:-1]) is None
    assert find_token(b"") is None
    broken = bytearray(said(1, 2))
    broken[-6] ^= 0xFF  # in the NACK, behind the token
    assert find_token(bytes(broken)) == TOKEN
    with pytest.raises(WireError):
        read_child_report(said(1, 2)[:-4], SSRC)


@given(st.binary(max_size=300) | st.builds(lambda cut, at: said(1)[:cut] + bytes([at]) * 9,
                                           st.integers(0, 80), st.integers(0, 255)))  # fmt: skip
def test_any_bytes_give_a_token_or_none_and_the_one_that_a_full_reader_finds(data: bytes) -> None:
    token = find_token(data)
    assert token is None or len(token) == 16
    try:
        packets = unpack_compound(data)
        read = read_token(packets)
    except WireError:
        return
    assert token == read


def test_token_search_ends_on_what_has_no_end() -> None:
    rng = random.Random(5)
    for _ in range(200):
        assert find_token(bytes([0x80, 200, 0, 0]) * rng.randrange(400)) is None


def test_sender_report_tells_the_rtp_time_of_now() -> None:
    info = SenderInfo(SSRC, timestamp=90_000, age=0.5, packets=7, octets=8)
    packets = unpack_compound(sender_compound(info, "parent", Supply().told(77, 2.0), wall=1_700_000_000.25))
    assert isinstance(packets[0], SenderReport)
    assert packets[0].rtp == 90_000 + 45_000
    state = read_state(packets)
    assert state is not None
    assert (state.state, state.next) == (FeedState.FED, 77)


def test_the_reports_of_one_moment_differ_by_what_each_child_was_sent() -> None:
    info = SenderInfo(SSRC, timestamp=90_000, age=0.5, packets=0, octets=0)
    told = SenderRound(info, "parent", Supply(), 1_700_000_000.25, 2.0)
    for number, packets, octets in ((77, 3, 4), (77, 5, 6), (78, 5, (1 << 32) + 6)):
        exactly = SenderInfo(SSRC, 90_000, 0.5, packets, octets)
        alone = sender_compound(exactly, "parent", Supply().told(number, 2.0), 1_700_000_000.25)
        assert told.compound(number, packets, octets) == alone
    answer = reference_answer(5, 0x2345_6789, 0.25)
    *_, last = unpack_compound(told.compound(77, 3, 4, answer))
    assert last == ExtendedReport(SSRC, delays=(ReferenceDelay(5, 0x2345_6789, 16_384),))


def test_a_childs_round_trip_is_what_the_answer_took_less_what_the_parent_waited() -> None:
    report = read_child_report(Speaker(5, "me", TOKEN).compound(BLOCK, reference=reference_time(10.0)), SSRC)
    assert (report.ssrc, report.reference) == (5, middle32(reference_time(10.0)))
    answer = reference_answer(5, report.reference or 0, 0.25)
    packets = [ExtendedReport(SSRC, delays=(answer,))]
    assert reference_delay(packets, 5, 10.0 + 0.25 + 0.08) == pytest.approx((0.08, 0.25), abs=0.001)
    assert reference_delay(packets, 5, 10.25 - 0.001) == (0.0, 0.25)  # no more exact than the clocks are
    assert reference_delay(packets, 6, 10.5) is None  # somebody else's
    assert reference_delay([], 5, 10.5) is None


def test_a_child_says_that_another_parent_delivers() -> None:
    assert not read_child_report(said(), SSRC).beside
    assert read_child_report(Speaker(5, "me", TOKEN).compound(BLOCK, beside=True), SSRC).beside


def test_sender_info_is_of_the_newest_datagram_if_there_is_one() -> None:
    assert sender_info(SSRC, None, 5.0, 1, 2) == SenderInfo(SSRC, 0, 0.0, 1, 2)
    assert sender_info(SSRC, train(10, 5), 5.0, 1, 2).timestamp == train(14, 1).timestamp(0)


def test_supply_is_told_with_how_long_it_has_lasted() -> None:
    assert Supply(FeedState.CUT, 1.0).told(3, 2.5).cut_ms == 1_500
    assert Supply(FeedState.FED, 1.0).told(3, 2.5).cut_ms == 0


def test_round_trip_is_what_the_report_took_less_what_the_child_waited() -> None:
    sent = middle32(ntp_from_unix(1_700_000_000.25))
    block = ReportBlock(SSRC, 0, 0, 0, 0, last_sr=sent, delay_since_sr=65_536 // 2)
    seconds = round_trip(block, wall=1_700_000_000.25 + 0.5 + 0.08)
    assert seconds is not None
    assert abs(seconds - 0.08) < 0.001
    assert round_trip(block, wall=1_600_000_000.0) is None
    assert round_trip(BLOCK, wall=1_700_000_000.0) is None
