"""What several demonstrations need alike: their contents, made once in a session."""

from pathlib import Path

import pytest

from helpers import locked
from machine import need_ffmpeg
from tools.demo.contents import NEWS, SPORT, make


@pytest.fixture
def demo_directory(shared_directory: Path, tmp_path: Path) -> Path:
    """A directory for one demonstration, whose contents and cache all demonstrations of the session share."""
    need_ffmpeg()
    shared, own = shared_directory / "demo", tmp_path / "demo"
    (shared / "cache").mkdir(parents=True, exist_ok=True)
    with locked(shared / "lock"):
        for picture in (NEWS, SPORT):
            make(picture, shared / "contents")
    own.mkdir()
    for part in ("contents", "cache"):
        (own / part).symlink_to(shared / part)
    return own
