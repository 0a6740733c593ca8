"""A recording in numbered files, cut at keyframes, with a list of them: `--segment`.

    news/00001.ts, news/00002.ts, ..., news/index.m3u8

Each file can be decoded by itself, to its end. At a cut the picture goes on in the next file; a piece of
sound that has begun before it is still written to the file before. So two files are open for a moment,
nothing is altered or left out, and all files one after the other are the stream.

The list (RFC 8216) is replaced whole when a file is complete, so that neither `kill -9` nor a full disk
leaves a broken one: at worst the file that was being written is missing in it, which ends with a whole
picture all the same (`mcast.media.stores`). A folder that has a recording
already is gone on with, as a program that is started again after a crash should.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mcast.errors import ConfigError
from mcast.gateway.hls import FRAME, LEAP
from mcast.gateway.pieces import Piece, PieceCutter
from mcast.media.output import lock_recording, unusable
from mcast.media.programme import seconds_between
from mcast.media.stores import RecordingFile
from mcast.roles.client.recording_list import RecordingList
from mcast.wire.mpegts import PACKET, pid_at, stream_id_at

INDEX = "index.m3u8"
MAX_LEFT = 16_384
"""Packets behind a cut for which a sound is waited for that goes on in the file before: it may have ended."""

_NAME = re.compile(r"(\d{5,})\.ts")


def check_folder(folder: Path) -> None:
    """Raise ConfigError if no recording in segments could be written there. Touches nothing."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder}: a file, where --segment wants a folder: name another")
    if not folder.exists() and not folder.parent.is_dir():
        raise unusable(folder, errno.ENOENT)
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise unusable(folder, errno.EACCES)
    RecordingList(folder / INDEX)


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the files that are there."""
    return [int(found[1]) for each in folder.iterdir() if (found := _NAME.fullmatch(each.name))]


class SegmentStore:
    """Owns the folder's lock and the file, at a cut the two files, that are being written."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """Make the folder where it is missing. Raises ConfigError if it cannot be used."""
        self.name, self.written = str(folder), 0
        self._folder, self._seconds = folder, seconds
        try:
            folder.mkdir(exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise unusable(folder, error.errno or 0) from None
        try:
            lock_recording(self._lock, folder, fcntl.LOCK_EX)
            self._index = RecordingList(folder / INDEX)
        except ConfigError:
            os.close(self._lock)
            raise
        self._number = 1 + max(_numbers(folder), default=0)
        self._cutter = PieceCutter()
        self._segment: _Segment | None = None
        self._former: _Segment | None = None  # whose sounds are still to be completed
        self._open_pids: set[int] = set()  # those of these sounds
        self._left = 0  # packets until they are given up
        self._last_start: int | None = None

    def write(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
        for piece in self._cutter.feed(data):
            if is_given_up():
                return
            if piece.is_start:
                self._on_start(piece)
            if self._segment is not None:
                self._put(piece.data, self._segment)

    def begin_anew(self) -> None:
        self._cutter.begin_anew()

    def wake(self) -> None:
        """Do nothing: a disk is not waited for as a reader is."""

    def finish(self, *, is_over: bool) -> None:
        former, segment = self._former, self._segment
        self._former = self._segment = None
        if former is not None:
            self._complete(former, is_whole=is_over)
        if segment is not None:
            segment.seconds = self._lasts(segment, self._cutter.latest)
            self._complete(segment, is_whole=is_over)
            self._index.write(is_over=True)

    def close(self) -> None:
        for segment in (self._former, self._segment):
            if segment is not None:
                segment.close()
        os.close(self._lock)

    def _on_start(self, piece: Piece) -> None:
        gap, self._last_start = seconds_between(self._last_start, piece.time), piece.time
        segment, is_break = self._segment, piece.is_break or not 0 <= gap <= LEAP
        if segment is None:
            self._begin(piece, is_break=not self._index.is_empty)
        elif is_break:
            segment.seconds = self._lasts(segment, piece.former)
            self._complete(segment, is_whole=False)
            self._begin(piece, is_break=True)
            self._index.write()
        elif (seconds := seconds_between(segment.time, piece.time)) >= self._seconds:
            segment.seconds = seconds
            self._hand_over(segment)
            self._begin(piece, is_break=False)

    def _hand_over(self, segment: "_Segment") -> None:
        """Have a file completed by the rest of its sounds."""
        if self._former is not None:
            self._complete(self._former, is_whole=False)
        self._former, self._left = segment, MAX_LEFT
        self._open_pids = set(self._cutter.programme.accompanying)

    def _begin(self, piece: Piece, *, is_break: bool) -> None:
        path = self._folder / f"{self._number:05}.ts"
        self._segment = _Segment(path, piece.time, is_break=is_break)
        self._number += 1

    def _put(self, data: bytes, segment: "_Segment") -> None:
        at, former = 0, self._former
        while former is not None and at < len(data):
            pid = pid_at(data, at)
            if pid in self._open_pids and stream_id_at(data, at) is not None:
                self._open_pids.discard(pid)
            self._append(former if pid in self._open_pids else segment, data[at : at + PACKET])
            at, self._left = at + PACKET, self._left - 1
            if not self._open_pids or not self._left:
                self._complete(former, is_whole=True)
                self._index.write()
                former = self._former = None
        self._append(segment, data[at:])

    def _append(self, segment: "_Segment", data: bytes) -> None:
        before = segment.size
        try:
            segment.write(data)
        finally:
            self.written += segment.size - before

    def _lasts(self, segment: "_Segment", last: int | None) -> float:
        """Return how long a file lasts behind whose last picture nothing follows."""
        return max(seconds_between(segment.time, last), 0.0) + FRAME

    def _complete(self, segment: "_Segment", *, is_whole: bool) -> None:
        """Close a file and add it to the list, if anything is in it: all of it, if it is whole."""
        before = segment.size
        try:
            segment.complete(is_whole=is_whole)
        finally:
            self.written += segment.size - before
        if segment.size:
            self._index.add(segment.entry, segment.seconds)


class _Segment:
    """Owns a file that is being written; it is made when there is a whole picture for it."""

    def __init__(self, path: Path, time: int | None, *, is_break: bool) -> None:
        self.time, self.seconds = time, 0.0
        self._name, self._is_break, self._began = path.name, is_break, datetime.now(UTC)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = RecordingFile(lambda: os.open(path, flags, 0o666))

    @property
    def size(self) -> int:
        """Return how many bytes are in it."""
        return self._file.size

    @property
    def entry(self) -> tuple[str, ...]:
        """Return its lines of the list."""
        moment = self._began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return (
            *(("#EXT-X-DISCONTINUITY",) if self._is_break else ()),
            f"#EXT-X-PROGRAM-DATE-TIME:{moment}",
            f"#EXTINF:{self.seconds:.3f},",
            self._name,
        )

    def write(self, packets: bytes) -> None:
        """Append whole packets. Raises OSError."""
        self._file.write(packets)

    def complete(self, *, is_whole: bool) -> None:
        """Close the file, which ends with what is whole. Raises OSError."""
        try:
            self._file.finish(is_over=is_whole)
        finally:
            self._file.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()
