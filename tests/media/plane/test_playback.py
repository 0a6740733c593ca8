"""The client's pipeline, with its thread."""

import threading
import time

from helpers import wait_until
from mcast.media.output import Ended
from mcast.media.playback import Playback
from mcast.net.threads import CrashBox
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import NULL_DATAGRAM, Train
from media.plane.streams import PACKETS, datagram, number_of, stream, train


class Memory:
    """An output that remembers."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.dropped = 0
        self.breaks: list[int] = []  # bytes before each

    def write(self, data: bytes) -> bool:
        self.data += data
        return True

    def begin_anew(self) -> None:
        self.breaks.append(len(self.data))

    def ended(self) -> Ended | None:
        return None

    def close(self, *, drain: bool = True) -> Ended | None:  # noqa: ARG002
        return None

    def numbers(self) -> list[int]:
        size = PACKETS * 188
        return [number_of(bytes(self.data[at : at + size])) for at in range(0, len(self.data), size)]


def test_datagrams_come_out_in_order_at_their_time() -> None:
    output = Memory()
    playback = Playback(output, 100, CrashBox(threading.Event()))
    began = time.monotonic()
    playback.push(train(0, 5))
    playback.push(train(10, 5, keys=[10]))
    playback.push(train(5, 5))
    assert playback.finish(5.0)
    assert time.monotonic() - began > 0.09
    playback.stop(last=16)
    assert output.numbers() == list(range(15))
    report = playback.report()
    assert (report.playout.lost, report.playout.reordered, report.ts_packets) == (2, 5, 15 * PACKETS)
    assert report.first_media is not None
    assert report.first_keyframe is not None
    assert began < report.first_media < report.first_keyframe


def test_stop_puts_out_what_is_held_and_is_harmless_when_repeated() -> None:
    output = Memory()
    playback = Playback(output, 60_000, CrashBox(threading.Event()))
    for item in stream(0, 100):
        playback.push(item)
    assert not playback.finish(0.01)
    playback.stop()
    playback.stop()
    assert output.numbers() == list(range(100))


def test_the_first_media_is_none_of_the_null_packets_before_it() -> None:
    playback = Playback(Memory(), 0, CrashBox(threading.Event()))
    playback.push(Train(0, NULL_DATAGRAM, datagram(0)[:HEADER_SIZE] + NULL_PACKET))
    assert playback.report().first_media is None
    playback.push(train(1, 1))
    playback.stop()
    report = playback.report()
    assert report.first_media is not None
    assert (report.first_number, report.ts_packets) == (1, PACKETS)


def test_another_stream_goes_out_behind_what_was_held_of_the_one_that_was_given_up() -> None:
    output = Memory()
    playback = Playback(output, 60_000, CrashBox(threading.Event()))
    playback.push(train(100, 5))
    playback.push(train(107, 3))
    number = playback.begin_anew()
    playback.push(train(110, 5))  # of the former one, which counts no more
    playback.push(train(0, 5), number)
    wait_until(lambda: len(output.numbers()) >= 8, "the rest of the first stream, long before its time")
    assert playback.begin_anew() == number + 1
    playback.stop()
    assert output.numbers() == [*range(100, 105), *range(107, 110), *range(5)]
    assert output.breaks == [8 * PACKETS * 188, 13 * PACKETS * 188]
    report = playback.report()
    assert (report.discontinuities, report.playout.lost, report.first_number) == (2, 2, 100)
    assert report.playout.datagrams == 13
    assert len(report.gaps) == 2
    assert report.gaps[0][1] > 0
