"""The system's packages that mcast's tools and tests use: root gets them by apt-get, others are told how.

    python -m tools.packages venv|tests|lab|experiments

The status is 2 if Python's venv is missing, which nothing replaces. Of the programs, each user says what it
cannot do without one: here the status is 0, and one line names what is missing and the command.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from mcast.errors import ConfigError

PACKAGES = {
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "ffplay": "ffmpeg",
    "ip": "iproute2",
    "tc": "iproute2",
    "ethtool": "ethtool",
    "Xvfb": "xvfb",
    "nft": "nftables",
    "openssl": "openssl",
    "systemd-analyze": "systemd",
    "systemd-sysusers": "systemd",
    "chromium": "chromium",
    "cvlc": "vlc-bin vlc-plugin-base",
    "mpv": "mpv",
    "gst-launch-1.0": "gstreamer1.0-tools gstreamer1.0-plugins-good",
    "srt-live-transmit": "srt-tools",
    "promtool": "prometheus",
    "cc": "gcc libc6-dev",
    "zsh": "zsh",
    "fish": "fish",
}
"""Each program's package in Debian and Ubuntu; some need another one beside."""

UNPACKED = {"promtool": "usr/bin/promtool"}
"""Programs that are taken out of their package, by their path in it: installed, it would start a service."""
UNPACKED_INTO = Path(__file__).parents[1] / "build" / "tools"

LAB = ("ip", "tc", "ethtool")
EXPERIMENTS = (*LAB, "ffmpeg", "ffprobe")
SERVICES = ("nft", "openssl", "systemd-analyze", "systemd-sysusers")
PLAYERS = ("cvlc", "mpv")
PEERS = ("srt-live-transmit", "gst-launch-1.0")
SHELLS = ("zsh", "fish")
TESTS = (
    *EXPERIMENTS, *SERVICES, "ffplay", "Xvfb", "chromium", *PLAYERS, *PEERS, "promtool", "cc", *SHELLS,
)  # fmt: skip
VENV = "venv"
PURPOSES = {"lab": LAB, "experiments": EXPERIMENTS, "tests": TESTS}

_UPDATE = ("apt-get", "update", "-q")
_DOWNLOAD = ("apt-get", "download", "-q")
_INSTALL = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
_ALSO = ("/usr/sbin", "/sbin", str(UNPACKED_INTO / "usr" / "bin"))
"""Where Debian keeps `tc` and `ethtool`, and what was unpacked: no ordinary user's PATH leads there."""


def find(program: str) -> str | None:
    """Return a program's path; None if it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ALSO)))


def missing(programs: Iterable[str]) -> list[str]:
    """Return the packages of those programs that are not installed."""
    return sorted({each for program in programs if not find(program) for each in PACKAGES[program].split()})


def can_install() -> bool:
    """Return whether this process may install packages, and knows how."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install packages, or unpack what is wanted of them. Raises ConfigError with the command that failed."""
    whole, unpacked = _sorted_out(packages)
    _run(_UPDATE, packages)
    if whole:
        _run((*_INSTALL, *whole), whole)
    for package in unpacked:
        _unpack(package)


def advice(packages: Iterable[str]) -> str:
    """Return the commands with which a user gets packages."""
    whole, unpacked = _sorted_out(packages)
    commands = [f"sudo apt-get install --no-install-recommends {' '.join(whole)}"] if whole else []
    for package in unpacked:
        into = UNPACKED_INTO.relative_to(UNPACKED_INTO.parents[1])
        commands.append(f"apt-get download {package} && dpkg-deb -x {package}_*.deb {into}")
    return "; ".join(commands)


def _sorted_out(packages: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those that are installed, and those that are unpacked."""
    apart = {PACKAGES[program] for program in UNPACKED}
    named = list(packages)
    return [each for each in named if each not in apart], [each for each in named if each in apart]


def _run(command: Sequence[str], packages: Sequence[str], directory: str | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, cwd=directory, check=False)
    if done.returncode:
        raise ConfigError(f"'{' '.join(command)}' failed: install {' '.join(packages)} by hand")


def _unpack(package: str) -> None:
    """Take the programs out of a package. Raises ConfigError with the command that failed."""
    UNPACKED_INTO.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED_INTO) as directory:
        Path(directory).chmod(0o777)  # apt-get lets a user of its own write there
        _run((*_DOWNLOAD, package), [package], directory)
        (archive,) = Path(directory).glob("*.deb")
        _run(("dpkg-deb", "-x", archive.name, "."), [package], directory)
        for program, path in UNPACKED.items():
            if PACKAGES[program] == package:
                (UNPACKED_INTO / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(directory) / path).replace(UNPACKED_INTO / path)


def main(argv: Sequence[str]) -> int:
    """Fetch what is missing for one purpose; return the exit status."""
    (purpose,) = argv
    if not (packages := _missing_for(purpose)):
        return 0
    try:
        if can_install():
            print(f"installing by apt-get: {' '.join(packages)}", flush=True)
            install(packages)
    except ConfigError as error:
        print(f"make: {error}", file=sys.stderr)
    if packages := _missing_for(purpose):
        print(f"make: missing for {purpose}: {', '.join(packages)}: {advice(packages)}", file=sys.stderr)
    return 2 if packages and purpose == VENV else 0


def _missing_for(purpose: str) -> list[str]:
    if purpose == VENV:
        return [] if _has_venv() else [_venv_package()]
    return missing(PURPOSES[purpose])


def _has_venv() -> bool:
    # Debian's python3 has the module venv without ensurepip: it could only make an environment without pip.
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(module) for module in ("ensurepip", "venv"))


def _venv_package() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}-venv"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
