"""Fragmented MP4 as ffmpeg writes it (ISO 14496-12): a head, then fragments that each begin at a keyframe."""

from dataclasses import dataclass

from mcast.errors import McastError

MAX_BOX = 64 * 1024 * 1024
"""Bytes of one box: ten seconds of 50 Mbit/s."""
_LONG_HEADER = 16


class BoxError(McastError):
    """What comes is no MP4."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` and its `mdat`: it can be shown behind the head alone."""

    data: bytes


class FragmentReader:
    """Cuts what ffmpeg writes into the head (up to `moov`) and fragments. Pure."""

    def __init__(self) -> None:
        self.head = b""
        self._data = bytearray()
        self._pending = b""  # the boxes of the fragment, or of the head, that is not complete

    def feed(self, data: bytes) -> list[Fragment]:
        """Return the fragments that are complete now. Raises BoxError."""
        self._data += data
        fragments: list[Fragment] = []
        while (box := self._next()) is not None:
            kind, content = box
            self._pending += content
            if kind == b"moov":
                self.head, self._pending = self._pending, b""
            elif kind == b"mdat":
                fragments.append(Fragment(self._pending))
                self._pending = b""
        return fragments

    def _next(self) -> tuple[bytes, bytes] | None:
        if len(self._data) < 8:
            return None
        size, kind = int.from_bytes(self._data[:4], "big"), bytes(self._data[4:8])
        if size == 1 and len(self._data) < _LONG_HEADER:
            return None
        if size == 1:
            size = int.from_bytes(self._data[8:_LONG_HEADER], "big")
        if not 8 <= size <= MAX_BOX:
            raise BoxError(f"a box {kind!r} of {size} bytes")
        if len(self._data) < size:
            return None
        content = bytes(self._data[:size])
        del self._data[:size]
        return kind, content
