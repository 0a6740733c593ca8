"""A recording ends behind the last whole picture, wherever it was stopped."""

from pathlib import Path

import pytest

from helpers import locked
from machine import need_ffmpeg
from mcast.media.trimming import without_open_picture
from mcast.wire.mpegts import PACKET
from media.source.transport import PMT, VIDEO, complaints, packet, pat, pes, run

SOUND = 0x101


def picture(*, packets: int = 3) -> list[bytes]:
    return [packet(VIDEO, start=True, body=pes(0)), *[packet(VIDEO)] * (packets - 1)]


def sound() -> list[bytes]:
    return [packet(SOUND, start=True, body=pes(0, stream=0xC0))]


def test_it_ends_where_the_last_picture_begins_and_stays_a_piece_of_the_stream() -> None:
    tables, first, second = [pat(), packet(PMT, start=True)], picture(), picture()
    stream = b"".join([*tables, *first, *sound(), *second[:1], *sound(), *second[1:]])
    assert without_open_picture(stream) == b"".join([*tables, *first, *sound()])


@pytest.mark.parametrize("packets", [1, 2, 6])
def test_a_keyframe_s_tables_go_with_it(packets: int) -> None:
    tables = [pat(), packet(PMT, start=True), *[packet(PMT)] * (packets - 1)]
    assert without_open_picture(b"".join([*picture(), *tables, *picture()])) == b"".join(picture())


def test_what_stands_behind_a_table_that_is_elsewhere_stays() -> None:
    stream = [*picture(), pat(), *sound(), *picture()]
    assert without_open_picture(b"".join(stream)) == b"".join(stream[:-3])


@pytest.mark.parametrize("tables", [[], [pat(), packet(PMT, start=True)]], ids=["bare", "with tables"])
def test_an_only_picture_stays(tables: list[bytes]) -> None:
    stream = b"".join([*tables, *picture()])
    assert without_open_picture(stream) == stream


def test_sound_alone_ends_where_its_last_piece_begins() -> None:
    assert without_open_picture(b"".join([*sound(), *sound()])) == b"".join(sound())


@pytest.mark.parametrize("stream", [b"", pat(), packet(VIDEO) * 10])
def test_where_nothing_begins_nothing_is_cut(stream: bytes) -> None:
    assert without_open_picture(stream) == stream


def test_a_field_that_fills_the_packet_begins_no_pes() -> None:
    full = bytes([0x47, 0x41, 0x00, 0x30, 183]) + bytes(183)
    assert without_open_picture(full) == full


@pytest.fixture(scope="module")
def clip(shared_directory: Path) -> bytes:
    """Two seconds of picture (with pictures that refer to later ones) and sound."""
    need_ffmpeg()
    file = shared_directory / "to-be-cut.ts"
    with locked(shared_directory / "to-be-cut.lock"):
        if not file.exists():
            run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2",
                "-f", "lavfi", "-i", "sine=duration=2", "-c:v", "libx264", "-preset", "fast", "-g", "25",
                "-c:a", "aac", "-f", "mpegts", file)  # fmt: skip
    return file.read_bytes()


@pytest.mark.ffmpeg
@pytest.mark.parametrize("share", [0.5, 0.61, 0.87])
def test_ffmpeg_decodes_it_to_the_end_without_a_word(clip: bytes, share: float, tmp_path: Path) -> None:
    whole = len(clip) // PACKET
    cut, trimmed = tmp_path / "cut.ts", tmp_path / "trimmed.ts"
    # In the middle of a picture: the next packet goes on with it.
    end = next(
        n for n in range(int(whole * share), whole) if clip[n * PACKET + 1 : n * PACKET + 3] == b"\x01\x00"
    )
    cut.write_bytes(clip[: end * PACKET])
    trimmed.write_bytes(without_open_picture(clip[: end * PACKET]))
    assert complaints(cut) != ""
    assert complaints(trimmed) == ""
    assert trimmed.stat().st_size > 0.8 * cut.stat().st_size
