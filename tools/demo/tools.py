"""Fetch ffmpeg where that is allowed: besides Python it is all that the demonstration needs."""

import shutil
from collections.abc import Mapping, Sequence

from mcast.errors import ConfigError
from mcast.media.tools import find_tool
from tools.packages import can_install, install

TOOLS = ("ffmpeg", "ffprobe")


def ensure_ffmpeg(tools: Sequence[str] = TOOLS) -> None:
    """Make sure that ffmpeg is there; root on Debian or Ubuntu gets it. Raises ConfigError: what to run."""
    if all(shutil.which(tool) for tool in tools):
        return
    if can_install():
        print("demo: ffmpeg is missing, installing it by apt-get", flush=True)
        install(["ffmpeg"])
    for tool in tools:
        find_tool(tool)


def check_display(environment: Mapping[str, str]) -> None:
    """Make sure that windows can be shown. Raises ConfigError."""
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        raise ConfigError("there is no display for four windows (DISPLAY is not set); `make demo` needs none")
    find_tool("ffplay")
