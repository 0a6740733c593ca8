"""VLC and mpv, as they are in Debian, play what a gateway serves: pictures come out of their decoders."""

import subprocess

import pytest

from gateway.conftest import Overlay, keyed
from helpers import PATIENCE, wait_until
from machine import unprivileged, unprivileged_home
from mcast.gateway.gateway import Gateway

pytestmark = [pytest.mark.ffmpeg, pytest.mark.players]
PATHS = ("/earth.ts", "/earth/index.m3u8")
FRAMES = 30
"""Pictures to be decoded: more than lie between two keyframes."""


@pytest.mark.parametrize("path", PATHS)
def test_mpv_plays_it(gateway: Gateway, overlay: Overlay, path: str) -> None:
    play_by_mpv(f"http://{gateway.address}{path}")
    wait_until(lambda: not overlay.running(), "the content to be left", timeout=PATIENCE)


def test_mpv_plays_a_playlist_that_it_has_opened_with_the_key(guarded: Gateway) -> None:
    play_by_mpv(f"{keyed(guarded)}/playlist.m3u")


def play_by_mpv(url: str) -> None:
    """Have pictures and sound decoded."""
    done = subprocess.run(
        [
            "mpv", "--no-config", "--vo=null", "--ao=null", f"--frames={FRAMES}", "--msg-level=all=info",
            "--term-status-msg=at ${=time-pos}", url,
        ],
        capture_output=True, text=True, timeout=4 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(h264 320x180" in done.stdout
    assert "(aac " in done.stdout


@pytest.mark.parametrize("path", PATHS)
def test_vlc_plays_it(gateway: Gateway, overlay: Overlay, path: str) -> None:
    play_by_vlc(f"http://{gateway.address}{path}")
    wait_until(lambda: not overlay.running(), "the content to be left", timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/earth.ts", "/playlist.m3u"])
def test_vlc_plays_what_it_is_given_with_the_key(guarded: Gateway, path: str) -> None:
    play_by_vlc(f"{keyed(guarded)}{path}")


def play_by_vlc(url: str) -> None:
    """Have pictures decoded."""
    with unprivileged_home() as home:
        # Each tenth picture that is decoded becomes a file.
        command = [
            "cvlc", "--aout=adummy", "--vout=vdummy", "--no-interact", "--video-filter=scene",
            "--scene-format=png", "--scene-ratio=10", "--scene-prefix=seen-", f"--scene-path={home}",
            url,
        ]  # fmt: skip
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(unprivileged(command, home), stdout=log, stderr=log)
        try:
            wait_until(lambda: len(list(home.glob("seen-*.png"))) > 2, "pictures", timeout=4 * PATIENCE)
        finally:
            process.terminate()
            process.wait()
            print((home / "log").read_text())
