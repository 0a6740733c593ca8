"""Whatever parents and children send: nothing raises, no number comes twice, what is said in turn fits."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from helpers import Recorder
from mcast.errors import WireError
from mcast.media.child import ChildState
from mcast.media.reports import read_child_report
from mcast.wire.position import MAX_NUMBER
from mcast.wire.rtcp import (
    App,
    Bye,
    ExtendedReport,
    FeedState,
    Nack,
    Packet,
    ReceiverReport,
    ReportBlock,
    Sdes,
    SenderReport,
    UpstreamState,
    pack_compound,
    state_app,
    token_app,
    unpack_compound,
)
from mcast.wire.rtp import HEADER_SIZE, RtpHeader
from media.plane.parts import LOCAL, PATIENT, family
from media.plane.streams import SSRC, datagram, train
from media.plane.test_incoming import TwoParents
from wire.strategies import unsigned

KEY = 1_000_000
TOKEN = bytes(16)

ssrcs = st.sampled_from([SSRC, SSRC, SSRC, 1])
sequences = st.integers(0, 300) | unsigned(16)
numbers = st.sampled_from([0, 1, 50, 200, 40_000, MAX_NUMBER - 1, MAX_NUMBER]) | st.integers(0, 400)
blocks = st.builds(
    ReportBlock, ssrcs, unsigned(8), st.integers(-(1 << 23), (1 << 23) - 1), unsigned(32), unsigned(32),
    unsigned(32), unsigned(32),
)  # fmt: skip
states = st.builds(
    UpstreamState, st.sampled_from(FeedState), unsigned(32), numbers | st.just((1 << 64) - 1), st.booleans()
)
reports: st.SearchStrategy[Packet] = st.one_of(
    st.builds(SenderReport, ssrcs, unsigned(64), unsigned(32), unsigned(32), unsigned(32)),
    st.builds(ReceiverReport, ssrcs, st.lists(blocks, max_size=2).map(tuple)),
)
others: st.SearchStrategy[Packet] = st.one_of(
    st.builds(Sdes, ssrcs, st.sampled_from(["", "me"])),
    st.just(token_app(1, TOKEN)),
    st.builds(lambda ssrc, state: state_app(ssrc, state), ssrcs, states),
    st.builds(
        App, ssrcs, st.integers(0, 31), st.just(b"MCST"),
        st.binary(max_size=8).map(lambda data: data + bytes(-len(data) % 4)),
    ),
    st.builds(ExtendedReport, ssrcs, st.none() | unsigned(64)),
    st.builds(Nack, ssrcs, ssrcs, st.lists(sequences, min_size=1, max_size=20).map(tuple)),
    st.builds(Bye, st.just((1,))),
)  # fmt: skip
compounds = st.builds(
    lambda first, rest: pack_compound((first, *rest)), reports, st.lists(others, max_size=4)
)
broken = st.builds(
    lambda data, at, value: data[: at % len(data)] + bytes([value]) + data[at % len(data) + 1 :],
    compounds, unsigned(8), unsigned(8),
)  # fmt: skip
media = st.builds(
    lambda sequence, ssrc: RtpHeader(sequence, 0, ssrc).pack() + datagram(0)[HEADER_SIZE:], sequences, ssrcs
)
runs = st.builds(lambda first, count: train(first, count).data, st.integers(0, 300), st.integers(1, 20))
packets = st.one_of(runs, runs, media, compounds, broken, st.binary(max_size=60))
moments = st.sampled_from([0.0, 0.01, 0.01, 0.2, 2.0])


@given(st.lists(st.tuples(st.integers(0, 1), packets, moments, st.integers(0, 1400)), max_size=20))
def test_what_two_parents_send_is_new_once_and_answered(
    comes: list[tuple[int, bytes, float, int]],
) -> None:
    two, now = TwoParents(start=None), 0.0
    for upstream, data, later, size in comes:
        now += later
        parent = two.parents[upstream]
        segment = size if size > 1350 else len(train(0, 1).data)  # as the kernel would say it, or anything
        two.trains += two.stream.receive(parent, data, segment, now)
        answer = two.stream.on_time(parent, now)
        assert answer is None or unpack_compound(answer)
        parent.goodbye(now)
        list(parent.events())
        two.stream.outdone(now)
    new = [number for each in two.trains for number in range(each.first, each.next)]
    assert len(new) == len(set(new)) == two.stream.counters().datagrams
    assert all(0 <= number <= MAX_NUMBER + 1_000 for number in new)


@given(st.one_of(compounds, broken, st.binary(max_size=120)))
def test_what_a_child_says_is_read_or_refused(data: bytes) -> None:
    try:
        report = read_child_report(data, SSRC)
    except WireError:
        return
    assert all(0 <= sequence < 1 << 16 for sequence in report.missing)


@given(st.lists(st.tuples(st.one_of(compounds, broken), moments, st.sampled_from([1, 2])), max_size=8))
def test_what_a_child_says_costs_at_most_that_child(said: list[tuple[bytes, float, int]]) -> None:
    lost = Recorder()
    with family(timing=PATIENT) as parent, patch.object(parent.fanout._rtcp, "_on_lost", lost):
        parent.fanout.push(train(0, 49, keys=[0]))
        session, now = parent.fanout._rtcp, 0.0

        def hear() -> None:
            nonlocal now
            for data, later, source in said:
                now += later
                session.on_packet(data, (f"127.0.0.{source}", 9), now)

        parent.fanout.admit(KEY, "k", LOCAL, LOCAL, TOKEN)
        parent.reader.call(hear, wait=True)
        parent.fanout.push(train(49, 5))
        assert all(child.state is not ChildState.GONE for child in parent.fanout.children())
        assert len(parent.fanout.children()) + len(lost.calls) == 1
