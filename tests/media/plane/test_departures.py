"""When packets leave by the stream's own clock; the test's clock is a number."""

import pytest

from mcast.media.departures import MARGIN, MAX_UNTIMED, WINDOW, Departures
from mcast.wire.mpegts import PACKET, PCR_CLOCK
from media.source.transport import packet

PAYLOAD = 7 * PACKET
FRAME = PCR_CLOCK // 25


def frames(first: int, count: int, packets: int = 14, pid: int = 0x100) -> bytes:
    """Make frames of 40 ms each, with a PCR in front."""
    return b"".join(
        packet(pid, pcr=number * FRAME) + packet(pid) * (packets - 1)
        for number in range(first, first + count)
    )


def moments(departures: Departures) -> list[float]:
    """Let time go by until nothing is ready; return when each datagram has left."""
    found = []
    while (due := departures.next_due()) is not None:
        found += [due] * len(departures.due(due))
    return found


def test_datagrams_are_full_and_leave_evenly_between_two_clocks() -> None:
    departures = Departures()
    departures.feed(data := frames(0, 4), now=100.0)
    left = []
    times = []
    while (due := departures.next_due()) is not None:
        times.append(due)
        left += departures.due(due)
    assert {len(each.payload) for each in left} == {PAYLOAD}
    assert b"".join(each.payload for each in left) == data[: 6 * PAYLOAD]
    assert times == pytest.approx([100 + MARGIN + 0.02 * number for number in range(6)])
    assert [each.ticks for each in left] == [number * FRAME // 2 for number in range(6)]


def test_what_comes_at_once_at_the_start_leaves_at_its_pace() -> None:
    departures = Departures()
    departures.feed(frames(0, 76), now=0.0)
    left = moments(departures)
    assert left[-1] - left[0] == pytest.approx(75 * 0.04 - 0.02)


def test_the_end_sends_what_is_left_though_it_is_no_full_datagram() -> None:
    departures = Departures()
    departures.feed(data := frames(0, 1, packets=10), now=0.0)
    assert departures.next_due() is None
    departures.finish(now=0.0)
    left = departures.due(now=1.0)
    assert b"".join(each.payload for each in left) == data
    assert departures.queued == 0


def test_after_a_pause_of_the_source_it_goes_on_a_margin_from_then() -> None:
    departures = Departures()
    departures.feed(frames(0, 2), now=0.0)
    moments(departures)
    departures.feed(frames(2, 2), now=5.0)
    left = moments(departures)
    assert left[0] == pytest.approx(5 + MARGIN)
    assert left[-1] - left[0] < 0.1


@pytest.mark.parametrize("start", [10_000, -10_000])
def test_a_clock_that_leaps_takes_no_time(start: int) -> None:
    departures = Departures()
    departures.feed(frames(20_000, 3), now=0.0)
    departures.feed(frames(20_000 + start, 3), now=0.0)
    left = moments(departures)
    assert left == sorted(left)
    assert left[-1] - left[0] < 0.2


def test_the_clock_of_another_programme_does_not_count() -> None:
    departures = Departures()
    both = b"".join(
        frames(number, 1, packets=7) + frames(90_000 - 3 * number, 1, packets=7, pid=0x200)
        for number in range(26)
    )
    departures.feed(both, now=0.0)
    left = moments(departures)
    assert left[-1] - left[0] == pytest.approx(1.0, abs=0.05)


def test_when_the_programme_with_the_clock_ends_another_ones_is_taken() -> None:
    departures = Departures()
    departures.feed(frames(0, 2), now=0.0)
    departures.feed(frames(500, 400, pid=0x200), now=0.0)
    assert len(moments(departures)) > 2 * 400 * 0.9


def test_a_stream_without_a_clock_leaves_as_it_comes() -> None:
    departures = Departures()
    departures.feed(packet() * (MAX_UNTIMED + 1), now=0.0)
    assert len(departures.due(MARGIN)) == MAX_UNTIMED // 7


@pytest.mark.parametrize("ppm", [80, -80])
def test_a_source_whose_clock_differs_from_ours_is_followed(ppm: int) -> None:
    departures, minutes = Departures(), 60
    waited: list[float] = []
    for second in range(60 * minutes):
        now = second * (1 - ppm / 1e6)
        departures.feed(frames(25 * second, 1, packets=7) + packet(pcr=(25 * second + 20) * FRAME) * 7, now)
        while (due := departures.next_due()) is not None and due < now + 1:
            if departures.due(due):
                waited.append(due - now)
    # Unfollowed, 80 ppm are 288 ms in an hour: all would wait so much longer, or the margin be used up.
    assert abs(max(waited[-200:]) - max(waited[:200])) < 0.05
    assert minutes * 60 > 10 * WINDOW
