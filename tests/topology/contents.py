"""The tests' contents: small, made once by ffmpeg and prepared once for all topologies of a session."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers import locked
from tools.demo.check import Sent, sent_by
from tools.demo.contents import Picture, make

SMALL = "size=320x180:rate=25"
SOUND = "sine=frequency=330:sample_rate=48000"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one of the tests' contents is made, and what the server's file says of it."""

    video: str = f"testsrc2={SMALL}"
    audio: str = SOUND
    seconds: float = 10
    keyframe_frames: int = 12
    bit_rate: int = 250_000
    keys: dict[str, object] = field(default_factory=dict)


KINDS = {
    "clip": Kind(),  # the one that most tests stream
    "other": Kind(video=f"smptehdbars={SMALL}"),
    "short": Kind(seconds=1),  # a seam every second
    "once": Kind(seconds=3, keys={"loop": False}),
    "still": Kind(audio=""),  # a picture file, see `source`
    "tone": Kind(video=""),
    # 65,536 numbers in a few seconds: one TS packet a datagram, noise
    "wrap": Kind(
        video="nullsrc=size=640x360:rate=25,geq=random(1)*255:128:128",
        seconds=2, bit_rate=24_000_000, keys={"datagram_packets": 1},
    ),
}  # fmt: skip


class Stock:
    """A directory with sources and the servers' cache; made by whoever comes first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = directory / "cache" / "mcast"
        self.cache.mkdir(parents=True, exist_ok=True)
        self.environment = {"XDG_CACHE_HOME": str(directory / "cache")}

    def source(self, name: str) -> Path:
        """Return a content's file; make and prepare it if need be: no test waits for a server's encoder."""
        with locked(self.directory / f"{name}.lock"):
            source = self._source(name)
            sent_by(source, self.cache)
            return source

    def has_pictures(self, name: str) -> bool:
        return bool(KINDS[name].video)

    def sent(self, name: str) -> Sent:
        """Return what a server sends of a content."""
        packets = KINDS[name].keys.get("datagram_packets", 7)
        assert isinstance(packets, int)
        return sent_by(self.source(name), self.cache, packets)

    def write_config(self, file: Path, contents: Sequence[str]) -> Path:
        """Write a server's TOML file."""
        lines = [f"cache = {json.dumps(str(self.cache))}"]
        for name in contents:
            keys: dict[str, object] = {"name": name, "source": str(self.source(name)), **KINDS[name].keys}
            lines += ["[[content]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        file.write_text("\n".join(lines) + "\n")
        return file

    def _source(self, name: str) -> Path:
        kind = KINDS[name]
        if name == "still":
            return self._still()
        picture = Picture(name, kind.video, kind.audio, kind.seconds, kind.keyframe_frames, kind.bit_rate)
        return make(picture, self.directory)

    def _still(self) -> Path:
        """Write a picture of one colour with a diagonal, 64x64, as a plain PPM file."""
        target = self.directory / "still.ppm"
        if not target.exists():
            part = target.with_name(f".{target.name}.{os.getpid()}.part")
            pixels = (b"\xff\xff\xff" if x == y else b"\x20\x60\xa0" for y in range(64) for x in range(64))
            part.write_bytes(b"P6 64 64 255\n" + b"".join(pixels))
            part.replace(target)
        return target
