"""What some tests need of the machine. Without it they are skipped, with what is missing and how to get it.

They fail where it was promised: MCAST_REQUIRE_FFMPEG, MCAST_REQUIRE_NETNS, MCAST_REQUIRE_DISPLAY,
MCAST_REQUIRE_BROWSER, MCAST_REQUIRE_SYSTEMD, MCAST_REQUIRE_PLAYERS, MCAST_REQUIRE_PROMTOOL,
MCAST_REQUIRE_COMPILER, MCAST_REQUIRE_SHELLS, MCAST_REQUIRE_MOUNTS, CI (all).
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tools.packages import LAB, PEERS, PLAYERS, SERVICES, SHELLS, advice, find, missing


def need_ffmpeg() -> None:
    """Let the test go on only where ffmpeg is, with its probe and its player."""
    _need("MCAST_REQUIRE_FFMPEG", _lacking(("ffmpeg", "ffprobe", "ffplay")))


def need_namespaces() -> None:
    """Let the test go on only where it may make network namespaces."""
    _need("MCAST_REQUIRE_NETNS", _lacking(LAB) or _namespaces_refused())


def need_display() -> None:
    """Let the test go on only where there can be an X display with a player on it."""
    _need("MCAST_REQUIRE_DISPLAY", _lacking(("Xvfb", "ffplay")))


def need_systemd() -> None:
    """Let the test go on only where systemd's tools are, and those that docs/deploy.md uses."""
    _need("MCAST_REQUIRE_SYSTEMD", _lacking(SERVICES))


def need_browser() -> None:
    """Let the test go on only where a Chromium is."""
    _need("MCAST_REQUIRE_BROWSER", _lacking(("chromium",)))


def need_players() -> None:
    """Let the test go on only where VLC, mpv, GStreamer and SRT's tools are."""
    _need("MCAST_REQUIRE_PLAYERS", _lacking((*PLAYERS, *PEERS)))


def need_promtool() -> None:
    """Let the test go on only where Prometheus's tool is."""
    _need("MCAST_REQUIRE_PROMTOOL", _lacking(("promtool",)))


def need_compiler() -> None:
    """Let the test go on only where the benchmark's C programs can be made."""
    _need("MCAST_REQUIRE_COMPILER", _lacking(("cc",)))


def need_shells() -> None:
    """Let the test go on only where zsh and fish are."""
    _need("MCAST_REQUIRE_SHELLS", _lacking(SHELLS))


def need_mounts() -> None:
    """Let the test go on only where it may mount a disk that nobody else sees."""
    _need("MCAST_REQUIRE_MOUNTS", _mounts_refused())


NEEDS = {
    "ffmpeg": need_ffmpeg,
    "netns": need_namespaces,
    "display": need_display,
    "browser": need_browser,
    "systemd": need_systemd,
    "players": need_players,
    "promtool": need_promtool,
    "compiler": need_compiler,
    "shells": need_shells,
    "mounts": need_mounts,
}
"""By marker."""


@contextlib.contextmanager
def unprivileged_home() -> Iterator[Path]:
    """Give a directory that everybody may use: pytest's are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="mcast-test-") as directory:
        home = Path(directory)
        home.chmod(0o777)
        yield home


def unprivileged(command: Sequence[str], home: Path) -> list[str]:
    """Return what runs a command as nobody if we are root, as VLC refuses to run as root."""
    if os.geteuid() != 0:
        return list(command)
    drop = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--inh-caps=-all")
    return [*drop, "env", f"HOME={home}", *command]


def on_small_disk(directory: Path, kib: int, copies: Path, command: Sequence[str]) -> list[str]:
    """Return what runs a command with a disk of so many KiB at a directory, seen by the command alone.

    What it has written there is copied when it has ended.
    """
    mount = 'mount -t tmpfs -o "size=$2k" mcast-test "$1" || exit 99; from=$1 to=$3; shift 3'
    script = f'{mount}; "$@"; status=$?; cp -r "$from" "$to"; exit $status'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(directory), str(kib), str(copies), *command]


def has_netem() -> bool:
    """Return whether the kernel can delay and lose packets as CORE asks it to."""
    command = ("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem")
    return not _lacking(LAB) and not _namespaces_refused() and not _run(*command)


_NOBODY = 65_534


def _need(promise: str, fault: str) -> None:
    if fault and (os.environ.get(promise) or os.environ.get("CI")):
        pytest.fail(f"{fault} (and {promise} or CI is set)")
    if fault:
        pytest.skip(fault)


def _lacking(programs: Sequence[str]) -> str:
    """Say which programs are not on the PATH; empty if all are."""
    lacking = [program for program in programs if not find(program)]
    return f"missing: {', '.join(lacking)} ({advice(missing(lacking))})" if lacking else ""


@cache
def _namespaces_refused() -> str:
    """Say why there can be no network namespaces; empty if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"mcast-test-{os.getpid()}"
    complaint = _run("ip", "netns", "add", name)
    if not complaint:
        complaint = _run("ip", "-n", name, "link", "set", "lo", "up")  # what a chroot refuses
        _run("ip", "netns", "del", name)
    return f"network namespaces are not permitted here: {complaint}" if complaint else ""


@cache
def _mounts_refused() -> str:
    """Say why nothing can be mounted; empty if it can."""
    if os.geteuid() != 0:
        return "mounting a disk needs root"
    with tempfile.TemporaryDirectory(prefix="mcast-test-") as directory:
        complaint = _run("unshare", "--mount", "mount", "-t", "tmpfs", "mcast-test", directory)
    return f"mounting is not permitted here: {complaint}" if complaint else ""


def _run(*command: str) -> str:
    """Run a command; return what it complains of, empty if it has succeeded."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stderr.strip() or f"{command[0]} fails") if result.returncode else ""
