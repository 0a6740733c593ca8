"""Subtitles and teletext of a television recording come along; what cannot is named."""

import logging
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers import wait_until
from mcast.media.source.live import LiveSource
from mcast.media.source.prepared import Prepared
from mcast.media.source.server_config import ContentSpec
from mcast.wire.mpegts import PACKET
from mcast.wire.position import Position
from media.source.clips import X264, film, make, picture, prepared, sound, streams
from media.source.transport import PMT, complaints, packets, stamp

TELETEXT_PID, SUBTITLE_PID = 0x150, 0x151
TELETEXT = bytes([0x56, 5]) + b"deu" + bytes([0x10, 0x88])
SUBTITLE = bytes([0x59, 8]) + b"eng" + bytes([0x10, 0, 1, 0, 1])


def crc(data: bytes) -> bytes:
    """Compute MPEG's CRC-32, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def with_texts(table: bytes) -> bytes:
    """Add two streams of text to a packet with a program map table."""
    section = table[5 : 8 + ((table[6] & 0x0F) << 8 | table[7])][:-4]
    for pid, descriptor in ((TELETEXT_PID, TELETEXT), (SUBTITLE_PID, SUBTITLE)):
        section += bytes([6, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, len(descriptor)]) + descriptor
    length = len(section) - 3 + 4
    section = section[:1] + bytes([0xB0 | length >> 8, length & 0xFF]) + section[3:]
    return (table[:5] + section + crc(section)).ljust(PACKET, b"\xff")


def text_packet(pid: int, time: int, count: int, data: bytes) -> bytes:
    header = bytes([0x84, 0x80, 5]) + stamp(time)
    body = bytes([0, 0, 1, 0xBD]) + (len(header) + len(data)).to_bytes(2, "big") + header + data
    room = PACKET - 4 - len(body)  # the rest is an adaptation field: nothing may follow a PES packet
    head = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x30 | count & 15])
    return head + bytes([room - 1, 0]) + b"\xff" * (room - 2) + body


PAGE = bytes.fromhex("10 02 2c e7 e4" + "00" * 42)
DISPLAY_SET = bytes.fromhex("20 00 0f 10 0001 0002 05 08 0f 80 0001 0000 ff")


def television(path: Path) -> Path:
    """Make a recording with teletext every half second and a subtitle every second."""
    data = film(path, 4).read_bytes()
    parts, texts = [], 0
    for at in range(0, len(data), PACKET):
        one = data[at : at + PACKET]
        if (one[1] & 0x1F) << 8 | one[2] == PMT:
            one = with_texts(one)
            if texts < 8:
                time = 126_000 + texts * 45_000
                one += text_packet(TELETEXT_PID, time, texts, PAGE)
                if texts % 2 == 0:
                    one += text_packet(SUBTITLE_PID, time, texts // 2, DISPLAY_SET)
                texts += 1
        parts.append(one)
    path.write_bytes(b"".join(parts))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return television(tmp_path_factory.mktemp("recording") / "recording.ts")


def test_teletext_and_subtitles_are_carried_with_their_languages(
    recording: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = [row for row in packets(recording, "codec_type,pts_time,size") if row[0] == "subtitle"]
    assert len(before) == 12, "the clip is what it should be"
    entry = prepared(recording, tmp_path)
    stream = entry / "stream.ts"
    assert streams(stream, "codec_name", "language") == [
        ("h264", ""),
        ("aac", ""),
        ("dvb_teletext", "deu"),
        ("dvb_subtitle", "eng"),
    ]
    after = [row for row in packets(stream, "codec_type,pts_time,size") if row[0] == "subtitle"]
    assert len(after) == len(before)
    assert "subtitles: dvb_teletext deu; subtitles: dvb_subtitle eng" in caplog.text


def test_with_subtitles_the_rounds_of_a_loop_still_join(recording: Path, tmp_path: Path) -> None:
    with Prepared(prepared(recording, tmp_path / "cache"), 7, loop=True) as content:
        rounds = tmp_path / "rounds.ts"
        rounds.write_bytes(content.payload(0, 3 * content.datagrams))
        assert content.period / 90_000 == pytest.approx(4.0, abs=0.1)
    assert complaints(rounds) == ""
    rows = packets(rounds, "codec_type,stream_index,pts_time")
    for index, count in (("2", 24), ("3", 12)):
        times = [float(row[2]) for row in rows if row[1] == index]
        assert (len(times), times) == (count, sorted(times))


def test_subtitles_that_are_left_out_are_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = tmp_path / "words.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    path = make(tmp_path / "film.mkv", *picture(1), *sound(1), "-i", text, *X264, "-c:s", "srt")
    prepared(path, tmp_path / "cache")
    assert "left out, as a transport stream cannot hold it: subrip" in caplog.text


def test_what_a_live_input_leaves_out_is_named_in_the_log(
    recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    spec = ContentSpec("studio", f"file://{recording}", live=True, loop=False)
    with closing(LiveSource(spec, Position(7, 0), time.monotonic())) as source:

        def is_said() -> bool:
            source.due(time.monotonic())
            return "live input: left out" in caplog.text

        wait_until(is_said, "the look into the input", timeout=60)
    assert "[studio] live input: left out: dvb_teletext deu, dvb_subtitle eng" in caplog.text
