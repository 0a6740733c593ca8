"""The contents of the scenarios: ffmpeg's test sources, picture and sound, at rates that the links can carry.

The narrowest link to a client in big_chungus has 2 Mbit/s; the one of server s2 in simple_1 has 256 kbit/s,
and the course report sent 421 kbit/s over it.
"""

from mcast.media.tools import find_tool
from tools.demo.check import Sent, sent_by
from tools.demo.contents import Picture, make
from tools.experiments.addresses import CHECKOUT

CONTENTS, CACHE = CHECKOUT / "build" / "contents", CHECKOUT / "build" / "cache"
"""As the servers' files in resources/configs have them."""

EARTH = Picture(
    "earth", "testsrc2=size=640x360:rate=25", "sine=frequency=440:beep_factor=4:sample_rate=48000",
    bit_rate=1_050_000,
)  # fmt: skip
MARS = Picture(
    "mars", "testsrc2=size=640x360:rate=25,hue=h=140,hflip", "sine=frequency=330:sample_rate=48000",
    bit_rate=900_000,
)  # fmt: skip
MOON = Picture(
    "moon", "testsrc2=size=320x180:rate=25", "sine=frequency=220:sample_rate=48000", bit_rate=277_000
)


def make_all() -> dict[str, Sent]:
    """Make the contents that are not there, prepare them; return what servers send. Raises ConfigError."""
    for tool in ("ffmpeg", "ffprobe"):
        find_tool(tool)
    return {picture.name: sent_by(make(picture, CONTENTS), CACHE) for picture in (EARTH, MARS, MOON)}
