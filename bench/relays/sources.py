"""The contents of a benchmark: noise, which no encoder makes small, of any rate. Each file is made once."""

import subprocess
from pathlib import Path

from bench.viewers import make_content

SMALL_MBITS = 2.0
"""Below this a large picture of noise cannot be made."""
SECONDS = 1
"""Of the file that is played faster: short, as a history holds 8 s of the result, whatever its rate is."""


class Sources:
    """The files in a folder, by what they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def noise(self, mbits: float) -> Path:
        """Return noise of this rate, with sound."""
        folder = self._folder / f"{mbits:g}"
        if not folder.exists():
            folder.mkdir()
            make_content(folder, mbits, size="320x180" if mbits < SMALL_MBITS else "1280x720")
        return folder / "noise.mp4"

    def fast(self, mbits: float) -> Path:
        """Return pictures alone, played so fast that they need this rate: no encoder could make it live."""
        target = self._folder / f"fast-{mbits:.0f}.mp4"
        if not target.exists():
            base = self._base()
            scale = base.stat().st_size * 8 / 1e6 / SECONDS / mbits
            _ffmpeg("-itsscale", f"{scale:.6f}", "-i", str(base), "-c", "copy", str(target))
        return target

    def _base(self) -> Path:
        base = self._folder / "fast.mp4"
        if not base.exists():
            _ffmpeg(
                "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-t", str(SECONDS), "-vf",
                "noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
                "-qp", "36", "-bf", "0", "-x264-params", "open-gop=0", str(base),
            )  # fmt: skip
        return base


def _ffmpeg(*options: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *options], check=True)
