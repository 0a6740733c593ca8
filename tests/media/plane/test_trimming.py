"""A recording ends behind the last whole picture, wherever it was stopped, and while it is made, too."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import locked
from machine import need_ffmpeg
from mcast.media.trimming import TAIL, WholePictures, without_open_picture
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
def test_nothing_is_trimmed_of_a_stream_of_one_picture(tables: list[bytes]) -> None:
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


PARTS = {
    "picture": packet(VIDEO, start=True, body=pes(0)),
    "rest": packet(VIDEO),
    "sound": packet(SOUND, start=True, body=pes(0, stream=0xC0)),
    "tables": pat() + packet(PMT, start=True),
}


@given(st.lists(st.tuples(st.sampled_from([*PARTS]), st.booleans()), max_size=40))
def test_at_any_moment_all_that_is_whole_is_let_through(parts: list[tuple[str, bool]]) -> None:
    gate, stream, through, waiting = WholePictures(), b"", b"", PARTS["tables"] + PARTS["picture"]
    for name, is_fed in [*parts, ("rest", True)]:
        waiting += PARTS[name]
        if is_fed:
            through += gate.feed(waiting)
            stream, waiting = stream + waiting, b""
            whole = without_open_picture(stream)
            assert through == (whole if whole != stream else b"")  # if there is no whole picture, nothing
    assert through + gate.take_rest() == stream
    assert gate.take_rest() == b""


def test_sound_alone_is_let_through_by_its_pieces() -> None:
    gate = WholePictures()
    assert gate.feed(sound()[0]) == b""
    assert gate.feed(sound()[0] * 2) == sound()[0] * 2


def test_a_sound_behind_a_picture_does_not_let_half_of_that_through() -> None:
    gate = WholePictures()
    for part in (picture(), sound(), sound()):
        assert gate.feed(b"".join(part)) == b""


def test_before_anything_begins_only_the_tables_of_what_comes_are_held() -> None:
    gate, tables = WholePictures(), [pat(), packet(PMT, start=True)]
    assert gate.feed(packet(VIDEO) * 3) == packet(VIDEO) * 3
    assert b"".join(map(gate.feed, [*tables, *picture()])) == b""
    assert gate.take_rest() == b"".join([*tables, *picture()])


def test_what_never_ends_is_not_held_for_ever() -> None:
    gate, endless = WholePictures(), packet(VIDEO) * 1000
    gate.feed(b"".join(picture()))
    fed = through = 0
    while not through:
        fed += len(endless)
        through = len(gate.feed(endless))
        assert fed <= TAIL + len(endless)
    assert through >= fed


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
