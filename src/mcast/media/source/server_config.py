"""The server's file (TOML, or JSON with the same keys): read whole, checked whole, refused whole."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

from mcast.config.networks import PRIVATE, Networks, parse_networks
from mcast.config.reading import read_config
from mcast.config.tables import TableChecks, inside
from mcast.errors import ConfigError
from mcast.media.source.encoding import DEFAULT_QUALITY, DEINTERLACING, Quality
from mcast.media.source.ffmpeg import input_formats
from mcast.media.source.tracks import NO_WISH, Wish
from mcast.wire.content import check_content_name
from mcast.wire.rtp import MAX_PACKETS

MAX_CONTENTS = 500
"""The list of all, with names of 255 bytes and running streams, fits one frame (`wire.frame.MAX_BODY`)."""
MAX_STREAMS = 1_000
STALL, HOLD, MAX_SECONDS = 10, 30, 86_400
_MIN_BIT_RATE, _MAX_BIT_RATE, _MAX_AUDIO_BIT_RATE = 8_000, 1_000_000_000, 512_000

STDIN_SOURCE = "-"
"""The source that is what the server reads from its standard input."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FILE_LIKE_URL = re.compile(
    r"(https?|ftps?|sftp)://(?!.*\.(m3u8|mpd)\b)", re.IGNORECASE
)  # no clock of its own
_COPIED = ("udp", "rtp", "srt", "tcp", "http", "https", "rist")

_FILE_KEYS = ("content", "cache", "allow", "rendezvous")
_ENCODING_KEYS = ("max_bit_rate", "audio_bit_rate", "deint", "programme", "video", "audio")
"""What of a source is encoded, and how: of no input that is copied."""
_LIVE_KEYS = ("paced", "input_options", "stall", "hold", "copy")
"""Of live inputs alone."""
_CONTENT_KEYS = ("name", "source", "loop", "datagram_packets", *_ENCODING_KEYS, "format", "live", *_LIVE_KEYS)

_T = TypeVar("_T")
Formats = Callable[[], Collection[str]]
"""Gives the input formats that ffmpeg knows."""


@dataclass(frozen=True, slots=True)
class ContentSpec:
    """One content as its server's file tells."""

    name: str
    source: str  # as ffmpeg gets it
    path: Path | None = None  # of a source that is a file
    live: bool = False  # ffmpeg runs while somebody watches; otherwise the file is prepared once
    format: str | None = None  # ffmpeg's -f for a live input
    paced: bool = False  # a live input without a clock of its own: ffmpeg reads it with -re
    input_options: tuple[str, ...] = ()  # further options for ffmpeg, before a live input
    copy: bool = False  # a live transport stream whose packets are sent as they are
    stall: float = STALL  # seconds without media after which ffmpeg is started again
    hold: float = HOLD  # seconds without media after which the stream ends; 0: never
    loop: bool = True
    datagram_packets: int = MAX_PACKETS
    quality: Quality = DEFAULT_QUALITY
    wish: Wish = NO_WISH


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The whole file."""

    path: Path
    contents: tuple[ContentSpec, ...]
    cache: Path | None = None  # where prepared contents are kept; None: the user's cache
    allow: Networks = PRIVATE  # who may ask, beside this host itself
    rendezvous: Networks | None = None  # whose word on SSRC and numbers counts; None: of all who may ask


def load_server_config(path: Path, formats: Formats = input_formats) -> ServerConfig:
    """Read a server's file. Raises ConfigError, which names the file, the key and how to mend it.

    `formats` is asked only if a content has a format.
    """
    keys = _Table(path, "", read_config(path))
    keys.only(*_FILE_KEYS)
    cache = keys.get("cache", keys.text, None)
    contents = _contents(keys, formats)
    return ServerConfig(
        path,
        contents,
        None if cache is None else relative_to(path, cache),
        allow=keys.get("allow", keys.networks, PRIVATE),
        rendezvous=keys.get("rendezvous", keys.networks, None),
    )


def relative_to(file: Path, name: str) -> Path:
    """Understand a path in a file as relative to that file."""
    return file.absolute().parent / name


class _Table(TableChecks):
    """A table of the file: the values of its keys, checked, or their defaults."""

    def __init__(self, file: Path, where: str, table: Mapping[str, object]) -> None:
        super().__init__(str(file))
        self.file, self.where, self._table = file, where, table

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def only(self, *known: str) -> None:
        self.only_keys(self.where, self._table, known)

    def get(self, name: str, check: Callable[[str, object], _T], default: _T) -> _T:
        """Return a key's value, as `check` takes it, or the default."""
        return check(inside(self.where, name), self._table[name]) if name in self else default

    def get_number(self, name: str, least: int, most: int, default: int) -> int:
        return self.get(name, lambda key, value: self.number(key, value, least, most), default)

    def needed(self, name: str, example: str) -> str:
        """Return the text of a key that must be there, and not be empty."""
        what = f'for example "{example}"'
        text = self.text(inside(self.where, name), self.required(self.where, self._table, name, what))
        if not text:
            self.refuse(name, f"is empty: write {what}")
        return text

    def number_or_name(self, key: str, value: object) -> str:
        """Return a value that must be a whole number from 0 on, or text, as text."""
        if isinstance(value, bool) or not isinstance(value, str | int) or str(value).startswith("-"):
            self.fail(key, f"{value!r} is neither a number from 0 on nor a name")
        return str(value)

    def networks(self, key: str, value: object) -> Networks:
        texts = self.texts(key, value, 'a list of networks, like ["10.0.0.0/8"]')
        try:
            return parse_networks(texts)
        except ConfigError as error:
            self.fail(key, str(error))

    def refuse(self, name: str, problem: str) -> NoReturn:
        """Raise ConfigError about a key of this table."""
        self.fail(inside(self.where, name), problem)


def _contents(keys: _Table, formats: Formats) -> tuple[ContentSpec, ...]:
    entries = keys.get("content", keys.entries, list[object]())
    if not entries:
        keys.refuse("content", "there is none: write a table [[content]] with name and source for each")
    if len(entries) > MAX_CONTENTS:
        keys.refuse("content", f"{len(entries)} are too many, the most is {MAX_CONTENTS}")
    tables = {f"content {place}": entry for place, entry in enumerate(entries, start=1)}
    contents = tuple(
        _content(_Table(keys.file, where, keys.table(where, entry)), formats)
        for where, entry in tables.items()
    )
    keys.no_duplicates("content", [spec.name for spec in contents])
    if len(piped := [spec.name for spec in contents if spec.source == STDIN_SOURCE]) > 1:
        keys.fail(f"content '{piped[1]}'.source", f"'{piped[0]}' reads standard input already")
    return contents


def _content(keys: _Table, formats: Formats) -> ContentSpec:
    keys.only(*_CONTENT_KEYS)
    name = _name(keys)
    keys.where = f"content '{name}'"
    source, form = keys.needed("source", "earth.mp4"), keys.get("format", keys.text, None)
    is_url = bool(_URL.match(source))
    spec = ContentSpec(
        name=name,
        source=source,
        live=keys.get("live", keys.flag, form is not None or is_url or source == STDIN_SOURCE),
        format=form,
        datagram_packets=keys.get_number("datagram_packets", 1, MAX_PACKETS, MAX_PACKETS),
        quality=_quality(keys),
        wish=_wish(keys),
    )
    if spec.live:
        return _live_input(keys, spec, formats)
    if form is not None or is_url:
        keys.refuse("live", "a source with a format, or a URL, is a live input; leave 'live' out")
    return _file_source(keys, spec)


def _name(keys: _Table) -> str:
    name = keys.needed("name", "earth")
    try:
        return check_content_name(name)
    except ValueError as error:
        keys.refuse("name", str(error))


def _quality(keys: _Table) -> Quality:
    return Quality(
        max_bit_rate=keys.get_number("max_bit_rate", _MIN_BIT_RATE, _MAX_BIT_RATE, 0),
        audio_bit_rate=keys.get_number(
            "audio_bit_rate", _MIN_BIT_RATE, _MAX_AUDIO_BIT_RATE, DEFAULT_QUALITY.audio_bit_rate
        ),
        deint=keys.get(
            "deint", lambda key, value: keys.choice(key, value, DEINTERLACING), DEFAULT_QUALITY.deint
        ),
    )


def _wish(keys: _Table) -> Wish:
    return Wish(
        programme=keys.get("programme", keys.number_or_name, ""),
        video=keys.get_number("video", 0, MAX_STREAMS, 0) if "video" in keys else None,
        audio=keys.get("audio", keys.number_or_name, ""),
    )


def _file_source(keys: _Table, spec: ContentSpec) -> ContentSpec:
    for key in _LIVE_KEYS:
        if key in keys:
            keys.refuse(key, "only for live inputs: those with a format, a URL, '-' or live = true")
    path = relative_to(keys.file, spec.source)  # whether it is there shows when it is prepared
    return replace(spec, source=str(path), path=path, loop=keys.get("loop", keys.flag, True))


def _live_input(keys: _Table, spec: ContentSpec, formats: Formats) -> ContentSpec:
    if keys.get("loop", keys.flag, False):
        keys.refuse("loop", "a live input cannot be repeated; leave 'loop' out")
    if spec.format is not None:
        _check_format(keys, spec.format, formats())
    if copy := keys.get("copy", keys.flag, False):
        _check_copy(keys, spec)
    source, is_file = _live_source(keys.file, spec)
    has_no_clock = is_file or spec.format == "lavfi" or bool(_FILE_LIKE_URL.match(source))
    return replace(
        spec,
        source=source,
        copy=copy,
        paced=keys.get("paced", keys.flag, has_no_clock),
        input_options=tuple(keys.get("input_options", keys.texts, [])),
        loop=False,
        stall=keys.get_number("stall", 1, MAX_SECONDS, STALL),
        hold=keys.get_number("hold", 0, MAX_SECONDS, HOLD),
    )


def _check_format(keys: _Table, form: str, known: Collection[str]) -> None:
    if form not in known:
        near = difflib.get_close_matches(form, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "ffmpeg -formats and -devices list what there is"
        keys.refuse("format", f"ffmpeg knows no input format '{form}'; {hint}")


def _live_source(file: Path, spec: ContentSpec) -> tuple[str, bool]:
    """Return what ffmpeg opens, and whether it is a file."""
    if spec.source == STDIN_SOURCE or spec.format == "lavfi" or _URL.match(spec.source):
        return spec.source, False
    path = relative_to(file, spec.source)
    is_file = _is_file(path)
    return (str(path) if is_file or spec.format is None else spec.source), is_file


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it may not be looked at, or its name is too long: said when it is opened
        return False


def _check_copy(keys: _Table, spec: ContentSpec) -> None:
    """Raise ConfigError for what is no transport stream, or asks for more than to send it as it is."""
    if spec.format not in (None, "mpegts"):
        keys.refuse("copy", f"only MPEG-TS can be copied, not '{spec.format}'; leave 'copy' out")
    scheme = spec.source.partition("://")[0].lower() if _URL.match(spec.source) else ""
    if scheme and scheme not in _COPIED:
        keys.refuse("copy", f"{scheme}:// brings no MPEG-TS; leave 'copy' out ({', '.join(_COPIED)} can)")
    for key in _ENCODING_KEYS:
        if key in keys:
            keys.refuse(key, "a copied input is sent as it is; leave this, or 'copy', out")
