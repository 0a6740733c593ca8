"""A content that is made in a moment."""

from tools.demo.contents import Picture

TINY = Picture(
    "tiny", "testsrc2=size=128x96:rate=25", "sine=sample_rate=48000",
    seconds=2, keyframe_frames=10, bit_rate=100_000,
)  # fmt: skip
