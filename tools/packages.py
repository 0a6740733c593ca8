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
from collections.abc import Iterable, Sequence

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
}
"""Each program's package in Debian and Ubuntu."""

LAB = ("ip", "tc", "ethtool")
EXPERIMENTS = (*LAB, "ffmpeg", "ffprobe")
SERVICES = ("nft", "openssl", "systemd-analyze", "systemd-sysusers")
TESTS = (*EXPERIMENTS, *SERVICES, "ffplay", "Xvfb", "chromium")
VENV = "venv"
PURPOSES = {"lab": LAB, "experiments": EXPERIMENTS, "tests": TESTS}

_UPDATE = ("apt-get", "update", "-q")
_INSTALL = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
_ALSO = ("/usr/sbin", "/sbin")
"""Where Debian keeps `tc` and `ethtool`, and where an ordinary user's PATH does not lead."""


def find(program: str) -> str | None:
    """Return a program's path; None if it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ALSO)))


def missing(programs: Iterable[str]) -> list[str]:
    """Return the packages of those programs that are not installed."""
    return sorted({PACKAGES[program] for program in programs if not find(program)})


def can_install() -> bool:
    """Return whether this process may install packages, and knows how."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install packages. Raises ConfigError with the command that failed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (_UPDATE, (*_INSTALL, *packages)):
        if subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode:
            raise ConfigError(f"'{' '.join(command)}' failed: install {' '.join(packages)} by hand")


def advice(packages: Iterable[str]) -> str:
    """Return the command with which a user installs packages."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


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
