"""The contents that are watched while something fails: test pictures with sound, made once."""

from dataclasses import dataclass
from pathlib import Path

from tools.demo.check import Sent, sent_by
from tools.demo.contents import Picture, make
from tools.experiments.addresses import CHECKOUT
from tools.resilience.stalls import longest_pause_ms

CONTENTS, CACHE = CHECKOUT / "build" / "resilience" / "contents", CHECKOUT / "build" / "cache"
_SOUND = "sine=frequency=440:sample_rate=48000"

SMALL = Picture("small", "testsrc2=size=320x180:rate=25", _SOUND, keyframe_frames=25, bit_rate=300_000)
"""For overlays of dozens of programs on one machine."""
STEADY = Picture("steady", "testsrc2=size=640x360:rate=25", _SOUND, bit_rate=1_000_000)
BROAD = Picture("broad", "testsrc2=size=1280x720:rate=25,noise=alls=60:allf=t", _SOUND, bit_rate=4_800_000)
"""About 5 Mbit/s with everything: noise takes all that the encoder may use."""


@dataclass(frozen=True, slots=True)
class Footage:
    """A content: its name, its file, and what a server sends of it."""

    name: str
    source: Path
    sent: Sent
    cache: Path
    pause_ms: float = 0.0  # the longest between two datagrams that follow on each other


def prepared(picture: Picture) -> Footage:
    """Make and prepare a content, unless it is there. Raises ConfigError."""
    source = make(picture, CONTENTS)
    sent = sent_by(source, CACHE)
    return Footage(picture.name, source, sent, CACHE, longest_pause_ms(sent))
