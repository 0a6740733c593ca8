"""Fragmented MP4 as ffmpeg writes it (ISO 14496-12): a head, then fragments, some of them from a keyframe on.

Of a `moof` only its first `traf` is looked at: ffmpeg writes the picture first.
"""

from dataclasses import dataclass

from mcast.errors import McastError

MAX_BOX = 64 * 1024 * 1024
"""Bytes of one box: ten seconds of 50 Mbit/s."""
_LONG_HEADER = 16


class BoxError(McastError):
    """What comes is no MP4."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` and its `mdat`."""

    data: bytes
    is_start: bool  # it begins at a keyframe: it can be shown behind the head alone


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
                fragments.append(Fragment(self._pending, begins_at_keyframe(self._pending)))
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


_NOT_SYNC = 0x0001_0000  # sample_is_non_sync_sample, in a sample's flags


def begins_at_keyframe(moof: bytes) -> bool:
    """Return whether the first sample of a fragment can be decoded alone; so, too, if that is not said."""
    track, run = moof.find(b"tfhd"), moof.find(b"trun")
    if track < 0 or run < 0 or len(moof) < run + 16:
        return True
    said = int.from_bytes(moof[run + 5 : run + 8], "big")
    first = run + 12 + 4 * bool(said & 0x001)  # behind the count, and the data's offset
    if said & 0x004:  # flags of the first sample
        return not int.from_bytes(moof[first : first + 4], "big") & _NOT_SYNC
    if said & 0x400:  # flags of each sample, behind its duration and size
        at = first + 4 * bool(said & 0x100) + 4 * bool(said & 0x200)
        return not int.from_bytes(moof[at : at + 4], "big") & _NOT_SYNC
    said = int.from_bytes(moof[track + 5 : track + 8], "big")
    if not said & 0x020:  # the track's own default
        return True
    at = track + 12 + 8 * bool(said & 0x001) + sum(4 * bool(said & bit) for bit in (0x002, 0x008, 0x010))
    return not int.from_bytes(moof[at : at + 4], "big") & _NOT_SYNC
