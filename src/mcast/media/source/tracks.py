"""Which of a source's streams are sent: one picture, the sound that belongs to it, its subtitles.

A multiplex holds several programmes, a film several sounds. The rules, where nothing else is asked for:

- The picture is the largest one that moves. Covers and posters are pictures only if there is no other.
- The sound comes from the picture's programme. A description for the blind or a commentary is never
  taken while there is another; then the source's own default decides, then the order.
- Subtitles of the picture's programme that a transport stream can hold as they are (DVB subtitles and
  teletext) come along.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mcast.media.source.complaints import SourceError

ALL = "all"
MAX_TRACKS = 8
"""Sounds and subtitles together: the table that lists them must fit one packet, next to each keyframe."""

_CARRIED = {"dvb_subtitle", "dvb_teletext"}
_SECONDARY = ("visual_impaired", "hearing_impaired", "descriptions", "comment", "clean_effects")
_SECONDARY_TITLE = re.compile(r"descri|comment|kommentar|beschreib", re.IGNORECASE)
# Languages with two codes (ISO 639-2 B and T): whoever asks for one means the other, too.
_TWINS = "alb/sqi arm/hye baq/eus bur/mya chi/zho cze/ces dut/nld fre/fra geo/kat ger/deu gre/ell ice/isl "
_TWINS += "mac/mkd mao/mri may/msa per/fas rum/ron slo/slk tib/bod wel/cym"
_OTHER_CODE = {
    code: other for pair in _TWINS.split() for code, other in (pair.split("/"), reversed(pair.split("/")))
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator chooses of a source; empty: by the rules above."""

    programme: str = ""  # its number or its name
    video: int | None = None  # which picture, counted from 0
    audio: str = ""  # "all", a language, or which sound, counted from 0


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class Video:
    """A stream of pictures."""

    index: int
    codec: str
    pixel_format: str
    width: int
    height: int
    frame_rate: Fraction  # 0: unknown
    rotated: bool = False
    field_order: str = ""  # as ffprobe says it: "progressive", "tt", "bb", "tb", "bt", or not known
    is_cover: bool = False  # belongs to a sound, or is one of many thumbnails
    is_default: bool = False
    pictures: int = 0  # 0: not known
    pid: int = 0  # in a transport stream

    @property
    def is_interlaced(self) -> bool:
        return self.field_order in ("tt", "bb", "tb", "bt")

    @property
    def is_top_first(self) -> bool:
        """Return which field of an interlaced picture is shown first: the second letter says it."""
        return self.field_order in ("tt", "bt")

    @property
    def moves(self) -> bool:
        return self.pictures != 1


@dataclass(frozen=True, slots=True)
class Audio:
    """A stream of sound."""

    index: int
    codec: str
    profile: str
    channels: int
    sample_rate: int
    language: str = ""
    is_default: bool = False
    is_secondary: bool = False  # a description or a commentary
    pid: int = 0  # in a transport stream


@dataclass(frozen=True, slots=True)
class Subtitle:
    """A stream of subtitles."""

    index: int
    codec: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Programme:
    """One programme of a multiplex."""

    number: int
    name: str
    streams: frozenset[int]


@dataclass(frozen=True, slots=True)
class Streams:
    """All that a source holds and we could send."""

    videos: tuple[Video, ...] = ()
    audios: tuple[Audio, ...] = ()
    subtitles: tuple[Subtitle, ...] = ()
    programmes: tuple[Programme, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What is sent of it. At least a picture or a sound."""

    video: Video | None
    audios: tuple[Audio, ...]
    subtitles: tuple[Subtitle, ...] = ()
    dropped: tuple[str, ...] = ()  # what of the programme is left out, for the log

    @property
    def is_still(self) -> bool:
        """Return whether this is one picture and nothing else."""
        return self.video is not None and not self.video.moves and not self.audios


def choose(streams: Streams, wish: Wish) -> Choice:
    """Choose what is sent. Raises SourceError if what was asked for is not there."""
    programme = _programme(streams.programmes, wish.programme)
    videos = [video for video in streams.videos if _within(video, programme)]
    video = _video(videos, wish.video)
    if video and programme is None:
        programme = next((each for each in streams.programmes if video.index in each.streams), None)
    sounds = [audio for audio in streams.audios if _within(audio, programme)]
    audios = _audios(sounds, wish.audio)
    if video is None and not audios:
        raise SourceError("it holds neither picture nor sound that ffmpeg can read")
    if video is not None and video.is_cover and audios:
        video = None
    texts = [text for text in streams.subtitles if video and _within(text, programme)]
    carried = [text for text in texts if text.codec in _CARRIED][: max(0, MAX_TRACKS - len(audios))]
    dropped = [f"{text.codec} {text.language}".strip() for text in texts if text not in carried]
    return Choice(video, tuple(audios), tuple(carried), tuple(dropped))


def with_counts(streams: Streams, pictures: Mapping[int, int]) -> Streams:
    """Return the streams with how many pictures each one turned out to have."""
    videos = tuple(
        replace(video, pictures=pictures.get(video.index, video.pictures)) for video in streams.videos
    )
    return replace(streams, videos=videos)


def _programme(programmes: Sequence[Programme], asked: str) -> Programme | None:
    if not asked:
        return None
    for programme in programmes:
        if asked == str(programme.number) or asked.casefold() == programme.name.casefold():
            return programme
    known = ", ".join(f"{each.number} {each.name!r}" for each in programmes) or "none"
    raise SourceError(f"it has no programme {asked!r} (programmes: {known})", "correct 'programme'")


def _within(stream: Video | Audio | Subtitle, programme: Programme | None) -> bool:
    return programme is None or stream.index in programme.streams


def _video(videos: Sequence[Video], asked: int | None) -> Video | None:
    if asked is not None:
        if asked >= len(videos):
            raise SourceError(f"it has no picture {asked}, only {len(videos)}", "correct 'video'")
        return videos[asked]

    def rank(video: Video) -> tuple[bool, bool, int, bool]:
        return not video.is_cover, video.moves, video.width * video.height, video.is_default

    return max(videos, key=rank, default=None)


def _audios(audios: Sequence[Audio], asked: str) -> list[Audio]:
    if asked == ALL:
        return sorted(audios, key=_audio_rank)[:MAX_TRACKS]
    if asked.isdecimal():
        if int(asked) >= len(audios):
            raise SourceError(f"it has no sound {asked}, only {len(audios)}", "correct 'audio'")
        return [audios[int(asked)]]
    fitting = [audio for audio in audios if not asked or _same_language(audio.language, asked)]
    if asked and not fitting:
        known = ", ".join(sorted({audio.language or "?" for audio in audios})) or "none"
        raise SourceError(f"it has no sound in {asked!r} (languages: {known})", "correct 'audio'")
    return sorted(fitting, key=_audio_rank)[:1]


def _audio_rank(audio: Audio) -> tuple[bool, bool]:
    return audio.is_secondary, not audio.is_default  # sorting keeps the order of equals


def _same_language(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    return one == other or _OTHER_CODE.get(one) == other


def is_secondary(disposition: Mapping[str, int], title: str) -> bool:
    """Return whether a sound is made for a few: a description, a commentary."""
    return any(disposition.get(kind) for kind in _SECONDARY) or bool(_SECONDARY_TITLE.search(title))


def names(streams: Collection[Video | Audio]) -> str:
    """Name the codecs, for people."""
    return "/".join(stream.codec for stream in streams)
