"""The programs of ffmpeg: where they are, and how to get them where they are not."""

import shutil

from mcast.errors import ConfigError

_INSTALLERS = {
    "apt-get": "sudo apt-get install ffmpeg",
    "dnf": "sudo dnf install ffmpeg-free",
    "pacman": "sudo pacman -S ffmpeg",
    "zypper": "sudo zypper install ffmpeg",
    "apk": "sudo apk add ffmpeg",
    "brew": "brew install ffmpeg",
}
# Where the distribution's own ffmpeg leaves out patented codecs, another repository has a whole one.
_WHOLE_INSTALLERS = _INSTALLERS | {
    "dnf": "sudo dnf swap ffmpeg-free ffmpeg --allowerasing (from the repository rpmfusion.org)",
    "zypper": "sudo zypper install --from packman ffmpeg (from the repository packman.links2linux.de)",
}


def find_tool(name: str) -> str:
    """Return the path of ffmpeg, ffprobe or ffplay. Raises ConfigError with the command that installs it."""
    if path := shutil.which(name):
        return path
    raise ConfigError(f"{name} is missing; install it with: {how_to_install()}")


def how_to_install(*, whole: bool = False) -> str:
    """Return the command that installs ffmpeg here; `whole`: one with all encoders."""
    commands = _WHOLE_INSTALLERS if whole else _INSTALLERS
    return next((command for tool, command in commands.items() if shutil.which(tool)), commands["apt-get"])
