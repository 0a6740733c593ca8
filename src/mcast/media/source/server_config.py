"""The server's file (TOML, or JSON with the same keys): read whole, checked whole, refused whole."""

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from mcast.config.networks import PRIVATE, Networks, parse_networks
from mcast.config.reading import read_config
from mcast.config.tables import unknown_key
from mcast.errors import ConfigError
from mcast.media.source.encoding import DEFAULT_QUALITY, DEINTERLACING, Quality
from mcast.media.source.ffmpeg import input_formats
from mcast.media.source.tracks import NO_WISH, Wish
from mcast.wire.rtp import MAX_PACKETS

MAX_CONTENTS = 500
"""The list of all, with names of 255 bytes and running streams, fits one frame (`wire.frame.MAX_BODY`)."""
MAX_NAME = 255  # bytes of UTF-8: what the wire carries
MAX_STREAMS = 1_000
STALL, HOLD, MAX_SECONDS = 10, 30, 86_400
_MIN_BIT_RATE, _MAX_BIT_RATE = 8_000, 1_000_000_000

STDIN_SOURCE = "-"
"""The source that is what the server reads from its standard input."""
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FILE_LIKE_URL = re.compile(
    r"(https?|ftps?|sftp)://(?!.*\.(m3u8|mpd)\b)", re.IGNORECASE
)  # no clock of its own
_COPIED = ("udp", "rtp", "srt", "tcp", "http", "https", "rist")
_T = TypeVar("_T")


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


def load_server_config(path: Path, formats: Callable[[], Collection[str]] = input_formats) -> ServerConfig:
    """Read a server's file. Raises ConfigError, which names the file, the key and how to mend it.

    `formats` gives what ffmpeg can read; it is asked only if a content has a format.
    """
    keys = _Keys(read_config(path), str(path), "")
    keys.allow("content", "cache", "allow", "rendezvous")
    cache = keys.optional("cache", str)
    tables = keys.optional("content", list) or []
    if not tables:
        raise keys.error("content", "no contents; add one: [[content]] with name and source")
    if len(tables) > MAX_CONTENTS:
        raise keys.error("content", f"{len(tables)} contents, one server has at most {MAX_CONTENTS}")
    contents = tuple(_content(table, path, index, formats) for index, table in enumerate(tables, start=1))
    names: set[str] = set()
    for spec in contents:
        if spec.name in names:
            raise ConfigError(f"{path}: content '{spec.name}': the name is there twice; rename one")
        names.add(spec.name)
    if len(piped := [spec.name for spec in contents if spec.source == STDIN_SOURCE]) > 1:
        raise ConfigError(f"{path}: content '{piped[1]}': source: '{piped[0]}' reads standard input already")
    place = None if cache is None else relative_to(path, cache)
    allowed = _networks(keys, "allow")
    return ServerConfig(
        path, contents, place, PRIVATE if allowed is None else allowed, _networks(keys, "rendezvous")
    )


def _networks(keys: "_Keys", key: str) -> Networks | None:
    texts = keys.optional(key, list)
    if texts is None:
        return None
    if not all(isinstance(text, str) for text in texts):
        raise keys.error(key, 'expected a list of networks, like ["10.0.0.0/8"]')
    try:
        return parse_networks(texts)
    except ConfigError as error:
        raise keys.error(key, str(error)) from None


class _Keys:
    """A table of the file, with errors that say where they are."""

    def __init__(self, table: Mapping[str, Any], file: str, where: str) -> None:
        self._table, self._file, self.where = table, file, where

    def error(self, key: str, message: str) -> ConfigError:
        place = ".".join(part for part in (self.where, key) if part)
        return ConfigError(f"{self._file}: {place}: {message}")

    def allow(self, *known: str) -> None:
        for key in self._table:
            if key not in known:
                raise self.error(key, unknown_key(key, known))

    def has(self, key: str) -> bool:
        return key in self._table

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        value = self._table.get(key)
        if key not in self._table:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"expected {_KINDS[kind]}, not {json.dumps(value, default=str)}")
        return value

    def text(self, key: str, example: str) -> str:
        value = self.optional(key, str)
        if not value:
            raise self.error(key, f"missing; add for example: {key} = {json.dumps(example)}")
        return value

    def text_or_number(self, key: str) -> str:
        value = self._table.get(key, "")
        if isinstance(value, bool) or not isinstance(value, str | int) or str(value).startswith("-"):
            raise self.error(key, f"expected a text or a number, not {json.dumps(value, default=str)}")
        return str(value)

    def choice(self, key: str, known: Sequence[str]) -> str:
        value = self.optional(key, str)
        if value is not None and value not in known:
            raise self.error(key, f"{json.dumps(value)} is none of: {', '.join(known)}")
        return known[0] if value is None else value

    def number(self, key: str, low: int, high: int, default: int) -> int:
        value = self.optional(key, int)
        if value is None:
            return default
        if not low <= value <= high:
            raise self.error(key, f"{value} is out of range; {low} to {high}")
        return value


_KINDS: dict[type, str] = {str: "a text", bool: "true or false", int: "a whole number", list: "a list"}


def _content(table: object, file: Path, index: int, formats: Callable[[], Collection[str]]) -> ContentSpec:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: content {index}: expected a table: [[content]]")
    keys = _Keys(table, str(file), f"content {index}")
    keys.allow(
        *("name", "source", "loop", "datagram_packets", "max_bit_rate", "audio_bit_rate", "deint"),
        *("programme", "video", "audio", "format", "live", "paced", "input_options", "stall", "hold", "copy"),
    )
    name = _name(keys)
    keys.where = f"content '{name}'"
    source, form = keys.text("source", "earth.mp4"), keys.optional("format", str)
    is_url = bool(_URL.match(source))
    live = keys.optional("live", bool)
    live = live if live is not None else form is not None or is_url or source == STDIN_SOURCE
    quality = Quality(
        max_bit_rate=keys.number("max_bit_rate", _MIN_BIT_RATE, _MAX_BIT_RATE, 0),
        audio_bit_rate=keys.number("audio_bit_rate", _MIN_BIT_RATE, 512_000, DEFAULT_QUALITY.audio_bit_rate),
        deint=keys.choice("deint", DEINTERLACING),
    )
    spec = ContentSpec(
        name=name,
        source=source,
        live=live,
        format=form,
        datagram_packets=keys.number("datagram_packets", 1, MAX_PACKETS, MAX_PACKETS),
        quality=quality,
        wish=_wish(keys),
    )
    if live:
        return _live_input(keys, spec, file, formats)
    if form is not None or is_url:
        raise keys.error("live", "a source with a format, or a URL, is a live input; leave 'live' out")
    return _file_source(keys, spec, file)


def _name(keys: _Keys) -> str:
    name = keys.text("name", "earth")
    if not name.isprintable() or len(name.encode(errors="replace")) > MAX_NAME:
        raise keys.error("name", f"at most {MAX_NAME} bytes of printable text")
    return name


def _wish(keys: _Keys) -> Wish:
    return Wish(
        programme=keys.text_or_number("programme"),
        video=keys.number("video", 0, MAX_STREAMS, 0) if keys.has("video") else None,
        audio=keys.text_or_number("audio"),
    )


def _file_source(keys: _Keys, spec: ContentSpec, file: Path) -> ContentSpec:
    for key in ("paced", "input_options", "stall", "hold", "copy"):
        if keys.has(key):
            raise keys.error(key, "only for live inputs (those with a format or a URL)")
    path = relative_to(file, spec.source)  # whether it is there shows when it is prepared
    return replace(spec, source=str(path), path=path, loop=keys.optional("loop", bool) is not False)


def _live_input(
    keys: _Keys, spec: ContentSpec, file: Path, formats: Callable[[], Collection[str]]
) -> ContentSpec:
    if keys.optional("loop", bool):
        raise keys.error("loop", "a live input cannot be repeated; leave 'loop' out")
    if spec.format is not None and spec.format not in (known := formats()):
        near = difflib.get_close_matches(spec.format, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "ffmpeg -formats and -devices list what there is"
        raise keys.error("format", f"ffmpeg knows no input format '{spec.format}'; {hint}")
    options = keys.optional("input_options", list) or []
    if not all(isinstance(option, str) for option in options):
        raise keys.error("input_options", 'expected a list of texts, like ["-framerate", "30"]')
    source, is_file = spec.source, False
    if source != STDIN_SOURCE and spec.format != "lavfi" and not _URL.match(source):
        path = relative_to(file, source)
        is_file = _is_file(path)
        source = str(path) if is_file or spec.format is None else source
    paced = keys.optional("paced", bool)
    if paced is None:
        paced = is_file or spec.format == "lavfi" or bool(_FILE_LIKE_URL.match(source))
    copy = bool(keys.optional("copy", bool))
    if copy:
        _check_copy(keys, spec)
    return replace(
        spec,
        source=source,
        copy=copy,
        paced=paced,
        input_options=tuple(options),
        loop=False,
        stall=keys.number("stall", 1, MAX_SECONDS, STALL),
        hold=keys.number("hold", 0, MAX_SECONDS, HOLD),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it may not be looked at, or its name is too long: said when it is opened
        return False


def _check_copy(keys: _Keys, spec: ContentSpec) -> None:
    """Raise ConfigError for what is no transport stream, or asks for more than to send it as it is."""
    if spec.format not in (None, "mpegts"):
        raise keys.error("copy", f"only MPEG-TS can be copied, not '{spec.format}'; leave 'copy' out")
    scheme = spec.source.partition("://")[0].lower() if _URL.match(spec.source) else ""
    if scheme and scheme not in _COPIED:
        raise keys.error(
            "copy", f"{scheme}:// brings no MPEG-TS; leave 'copy' out ({', '.join(_COPIED)} can)"
        )
    for key in ("max_bit_rate", "audio_bit_rate", "deint", "programme", "video", "audio"):
        if keys.has(key):
            raise keys.error(key, "a copied input is sent as it is; leave this, or 'copy', out")


def relative_to(file: Path, name: str) -> Path:
    """Understand a path in a file as relative to that file."""
    return file.absolute().parent / name
