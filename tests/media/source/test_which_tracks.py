"""Which picture and which sound of a source are sent. Each sound of these clips has a tone of its own."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from helpers import Recorder, wait_until
from mcast.media.source.complaints import SourceError
from mcast.media.source.live import LiveSource
from mcast.media.source.live_inputs import LiveInputs
from mcast.media.source.live_tracks import LiveTracks, by_wish, live_tracks, without_look
from mcast.media.source.probe import probe
from mcast.media.source.server_config import ContentSpec
from mcast.media.source.standard_input import StandardInput
from mcast.media.source.tracks import (
    MAX_TRACKS,
    Audio,
    Choice,
    Programme,
    Streams,
    Subtitle,
    Video,
    Wish,
    choose,
)
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from media.source.clips import (
    AAC,
    X264,
    description,
    loudest_frequency,
    make,
    picture,
    prepared,
    shown,
    sound,
    streams,
)


@pytest.fixture(scope="module")
def multiplex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A radio of 300 Hz that comes first, a small television of 500 Hz, a large one of 700 Hz."""
    path = tmp_path_factory.mktemp("multiplex") / "multiplex.ts"
    return make(
        path,
        *(*sound(2, 300), *picture(2, "80x46"), *sound(2, 500), *picture(2, "160x90"), *sound(2, 700)),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4", *X264, *AAC),
        *("-program", "program_num=11:title=Radio:st=0", "-program", "program_num=22:title=Small:st=1:st=2"),
        *("-program", "program_num=33:title=Large:st=3:st=4"),
    )


@pytest.mark.parametrize(
    ("wish", "width", "frequency"),
    [
        (Wish(), 160, 700),
        (Wish(programme="22"), 80, 500),
        (Wish(programme="large"), 160, 700),
        (Wish(programme="Radio"), 0, 300),
        (Wish(video=0), 80, 500),
        (Wish(programme="33", audio="0"), 160, 700),
    ],
)
def test_the_sound_is_that_of_the_pictures_programme(
    multiplex: Path, tmp_path: Path, wish: Wish, width: int, frequency: float
) -> None:
    entry = prepared(multiplex, tmp_path, wish=wish)
    assert description(entry).width == width
    assert loudest_frequency(entry / "stream.ts") == pytest.approx(frequency, rel=0.05)


def test_a_live_multiplex_is_taken_by_the_same_rules(multiplex: Path) -> None:
    found = probe(str(multiplex))
    large = [int(pid, 0) for (pid,) in streams(multiplex, "id")[3:5]]
    assert live_tracks(found, Wish()).maps == tuple(f"0:i:{pid}" for pid in large)
    assert len(live_tracks(found, Wish(programme="Radio")).maps) == 1
    assert not live_tracks(found, Wish()).may_have_fields


class Writer:
    """A thread that writes all into a pipe or a FIFO, and ends."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def write(self, data: bytes, target: int | Path) -> None:
        def run() -> None:
            with open(target, "wb") as pipe, contextlib.suppress(BrokenPipeError):  # noqa: PTH123 -- or a descriptor
                pipe.write(data)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()


def played(source: LiveSource, begin: Callable[[], None], is_over: Callable[[], bool]) -> bytes:
    """Return the transport stream of a source, null packets left out, until it is over."""
    came = bytearray()

    def look() -> bool:
        for train in source.due(time.monotonic()):
            for one in train.datagrams():
                if (payload := bytes(one[HEADER_SIZE:])) != NULL_PACKET:
                    came.extend(payload)
        return is_over()

    with closing(source):
        look()
        begin()
        wait_until(look, "the end of the stream", timeout=60)
    return bytes(came)


def assert_all_of_the_large_programme(sent: bytes, file: Path, maps: tuple[str, ...], source: Path) -> None:
    file.write_bytes(sent)
    large = [int(pid, 0) for (pid,) in streams(source, "id")[3:5]]
    assert maps == tuple(f"0:i:{pid}" for pid in large)
    assert loudest_frequency(file) == pytest.approx(700, rel=0.05)
    assert len(shown(file, "packet=pts", "-select_streams", "v")) == pytest.approx(50, abs=2)


def test_a_multiplex_that_is_piped_in_is_taken_by_the_same_rules_from_its_first_byte_on(
    multiplex: Path, tmp_path: Path
) -> None:
    spec, crash = ContentSpec("c", "-", live=True, loop=False), Recorder()
    known: dict[ContentSpec, LiveTracks] = {}
    reading, writing = os.pipe()
    piped = StandardInput(crash, reading)
    piped.start()
    taking = piped.taking()
    source = LiveSource(
        spec, Position(7, 0), time.monotonic(), start_child=taking.start_child,
        start_look=taking.start_look, let_go=taking.let_go, known=known, is_over=lambda: piped.is_over,
    )  # fmt: skip
    with closing(Writer()) as writer:
        sent = played(source, lambda: writer.write(multiplex.read_bytes(), writing), lambda: source.ended)
        piped.stop()
    os.close(reading)
    assert_all_of_the_large_programme(sent, tmp_path / "sent.ts", known[spec].maps, multiplex)
    assert crash.calls == []


def test_a_multiplex_by_a_fifo_is_taken_by_the_same_rules_from_its_first_byte_on(
    multiplex: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    spec, crash, inputs = ContentSpec("c", str(fifo), live=True, loop=False), Recorder(), LiveInputs()
    inputs.follow([spec], crash)
    source = inputs.open(spec, Position(7, 0))
    with closing(Writer()) as writer:
        sent = played(
            source,
            lambda: writer.write(multiplex.read_bytes(), fifo),
            lambda: "live input ended, again" in caplog.text and not source._queue,
        )
    inputs.stop()
    assert_all_of_the_large_programme(sent, tmp_path / "sent.ts", inputs._known[spec].maps, multiplex)
    assert crash.calls == []


@pytest.mark.parametrize(
    ("source", "form", "options", "is_looked_into"),
    [
        ("/dev/video0", "v4l2", (), False),
        ("testsrc2", "lavfi", (), False),
        ("udp://239.1.1.1:5000", None, (), True),
        ("srt://host:9000", "mpegts", (), True),
        ("srt://:9000?mode=listener", None, (), False),
        ("rtsp://:8554/in", None, ("-rtsp_flags", "listen"), False),
        ("rtmp://host/app/key", None, (), False),
        ("pipe:0", "mpegts", (), False),
        ("-", None, (), True),
    ],
)
def test_only_inputs_that_may_hold_several_streams_and_be_opened_twice_are_looked_into(
    source: str, form: str | None, options: tuple[str, ...], is_looked_into: bool
) -> None:
    spec = ContentSpec("c", source, live=True, format=form, input_options=options)
    assert (without_look(spec) is None) is is_looked_into


def test_of_an_input_that_is_not_looked_into_the_wish_is_handed_to_ffmpeg() -> None:
    spec = ContentSpec("c", "srt://:9000?mode=listener", live=True, wish=Wish(programme="22", audio="deu"))
    tracks = without_look(spec)
    assert tracks is not None
    assert tracks.maps == ("0:p:22:V:0?", "0:p:22:a:m:language:deu?")


def test_what_is_asked_of_an_input_that_is_not_looked_into_is_left_to_ffmpeg(
    multiplex: Path, tmp_path: Path
) -> None:
    for wish, frequency in ((Wish(programme="22"), 500), (Wish(programme="33"), 700), (Wish(audio="2"), 700)):
        maps = [part for each in by_wish(wish).maps for part in ("-map", each)]
        taken = make(tmp_path / "taken.ts", "-i", multiplex, *maps, "-c", "copy")
        assert loudest_frequency(taken) == pytest.approx(frequency, rel=0.05)


def test_all_sounds_can_be_kept_with_their_languages(tmp_path: Path) -> None:
    two = make(tmp_path / "two.mkv", *picture(2), *sound(2, 300), *sound(2, 600), *X264, *AAC,
               "-map", "0", "-map", "1", "-map", "2", "-metadata:s:a:0", "language=ger",
               "-metadata:s:a:1", "language=eng")  # fmt: skip
    entry = prepared(two, tmp_path / "cache", wish=Wish(audio="all"))
    stream = entry / "stream.ts"
    assert description(entry).codecs == "h264/aac/aac"
    assert streams(stream, "codec_type", "language") == [("video", ""), ("audio", "ger"), ("audio", "eng")]
    assert loudest_frequency(stream, stream="0:a:1") == pytest.approx(600, rel=0.05)
    one = prepared(two, tmp_path / "cache", wish=Wish(audio="eng")) / "stream.ts"
    assert loudest_frequency(one) == pytest.approx(600, rel=0.05)
    assert streams(one, "codec_type") == [("video",), ("audio",)]


@pytest.mark.parametrize("name", ["film.mkv", "film.ts"])
def test_a_description_for_the_blind_is_not_taken_though_it_comes_first(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, *picture(2), *sound(2, 300), *sound(2, 600), *X264, *AAC,
                "-map", "0", "-map", "1", "-map", "2", "-disposition:a:0", "default+visual_impaired",
                "-disposition:a:1", "0", "-metadata:s:a:0", "language=deu",
                "-metadata:s:a:1", "language=deu")  # fmt: skip
    for wish in (Wish(), Wish(audio="ger")):
        stream = prepared(path, tmp_path / "cache", wish=wish) / "stream.ts"
        assert loudest_frequency(stream) == pytest.approx(600, rel=0.05)


def test_the_sources_own_default_is_honoured(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", *picture(2), *sound(2, 300), *sound(2, 600), *X264, *AAC,
                "-map", "0", "-map", "1", "-map", "2", "-disposition:a:0", "0",
                "-disposition:a:1", "default")  # fmt: skip
    stream = prepared(path, tmp_path / "cache") / "stream.ts"
    assert loudest_frequency(stream) == pytest.approx(600, rel=0.05)


def video(index: int, width: int = 160, **more: object) -> Video:
    return Video(index, "h264", "yuv420p", width, 90, Fraction(25), **more)  # type: ignore[arg-type]


def audio(index: int, language: str = "", **more: object) -> Audio:
    return Audio(index, "aac", "LC", 2, 48_000, language, **more)  # type: ignore[arg-type]


def chosen(choice: Choice) -> tuple[int | None, list[int]]:
    return choice.video.index if choice.video else None, [sound.index for sound in choice.audios]


@pytest.mark.parametrize(
    ("held", "wish", "expected"),
    [
        pytest.param(Streams((video(0), video(1, 320))), "", (1, []), id="the largest picture"),
        pytest.param(Streams((video(0), video(1, 900, is_cover=True))), "", (0, []), id="no cover"),
        pytest.param(Streams((video(0), video(1, 900, pictures=1))), "", (0, []), id="one that moves"),
        pytest.param(Streams((video(0, is_cover=True),), (audio(1),)), "", (None, [1]), id="cover and sound"),
        pytest.param(Streams((video(0, is_cover=True),)), "", (0, []), id="a cover alone"),
        pytest.param(Streams((), (audio(0), audio(1, is_default=True))), "", (None, [1]), id="the default"),
        pytest.param(
            Streams((), (audio(0, is_secondary=True, is_default=True), audio(1))), "", (None, [1]),
            id="no description",
        ),
        pytest.param(Streams((), (audio(0, is_secondary=True),)), "", (None, [0]), id="only a description"),
        pytest.param(Streams((), (audio(0, "eng"), audio(1, "ger"))), "deu", (None, [1]), id="both codes"),
        pytest.param(Streams((), (audio(0), audio(1), audio(2))), "2", (None, [2]), id="by its number"),
        pytest.param(
            Streams((), (audio(0, "deu", is_secondary=True), audio(1, "deu"))), "deu", (None, [1]),
            id="a language's best",
        ),
        pytest.param(
            Streams((), tuple(audio(n) for n in range(20))), "all", (None, [*range(MAX_TRACKS)]), id="bounded"
        ),
    ],
)  # fmt: skip
def test_the_largest_picture_and_the_main_sound_are_chosen_unless_others_are_wished_for(
    held: Streams, wish: str, expected: tuple[int | None, list[int]]
) -> None:
    assert chosen(choose(held, Wish(audio=wish))) == expected


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(programme="Sport"), r"no programme 'Sport' \(programmes: 1 'News'\)"),
        (Wish(video=1), "no picture 1, only 1"),
        (Wish(audio="fra"), r"no sound in 'fra' \(languages: deu\)"),
        (Wish(audio="1"), "no sound 1, only 1"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_what_there_is(wish: Wish, message: str) -> None:
    held = Streams((video(0),), (audio(1, "deu"),), (), (Programme(1, "News", frozenset({0, 1})),))
    with pytest.raises(SourceError, match=message) as caught:
        choose(held, wish)
    assert caught.value.mend.startswith("correct '")


def test_subtitles_that_a_transport_stream_cannot_hold_are_named() -> None:
    texts = (Subtitle(2, "dvb_teletext", "deu"), Subtitle(3, "subrip", "eng"))
    choice = choose(Streams((video(0),), (audio(1),), texts), Wish())
    assert (choice.subtitles, choice.dropped) == (texts[:1], ("subrip eng",))
