"""ffmpeg is all that the demonstration needs beside Python: fetch it where that is allowed."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from mcast.errors import ConfigError
from mcast.media.source.ffmpeg import find_tool

TOOLS = ("ffmpeg", "ffprobe")
_APT = (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", "ffmpeg"])


def ensure_ffmpeg(tools: Sequence[str] = TOOLS) -> None:
    """See that ffmpeg is there; root on Debian or Ubuntu gets it. Raises ConfigError with what to run."""
    if all(shutil.which(tool) for tool in tools):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("demo: ffmpeg is missing, installing it by apt-get", flush=True)
        for command in _APT:
            _run(command)
    for tool in tools:
        find_tool(tool)


def check_display(environment: Mapping[str, str]) -> None:
    """See that windows can be shown. Raises ConfigError."""
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        raise ConfigError("there is no display for four windows (DISPLAY is not set); `make demo` needs none")
    find_tool("ffplay")


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode:
        raise ConfigError(f"'{' '.join(command)}' failed: install ffmpeg by hand and try again")
