"""What the system lacks: root gets it by apt-get, everybody else reads the command."""

import os
import sys
from pathlib import Path

import pytest

from tools import packages

INSTALLER = """#!/bin/sh
echo "$@" >> {directory}/calls
[ "$1" = update ] && exit 0
for tool in ip tc ethtool; do printf '#!/bin/sh\\n' > {directory}/$tool; /bin/chmod +x {directory}/$tool; done
"""


UNPACK = "apt-get download prometheus && dpkg-deb -x prometheus_*.deb build/tools"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any program but an apt-get that notes its calls and `installs`."""
    apt = tmp_path / "apt-get"
    apt.write_text(INSTALLER.format(directory=tmp_path))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "_ALSO", ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_root_gets_what_is_missing_and_nothing_else(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "tc").symlink_to(sys.executable)
    assert packages.main(["lab"]) == 0
    assert (bare / "calls").read_text().splitlines() == [
        "update -q",
        "install -q -y --no-install-recommends ethtool iproute2",
    ]
    assert capsys.readouterr() == ("installing by apt-get: ethtool iproute2\n", "")
    assert packages.main(["lab"]) == 0
    assert capsys.readouterr() == ("", "")


def test_what_would_start_a_service_is_only_unpacked(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "apt-get").write_text('#!/bin/sh\n[ "$1" = download ] && : > prometheus_1.deb\n:')
    (bare / "dpkg-deb").write_text(
        "#!/bin/sh\n/bin/mkdir -p usr/bin; : > usr/bin/promtool; : > usr/bin/prometheus"
    )
    (bare / "dpkg-deb").chmod(0o755)
    into = bare / "build"
    monkeypatch.setattr(packages, "UNPACKED_INTO", into)
    packages.install(["prometheus"])
    assert [each for each in into.rglob("*") if each.is_file()] == [into / "usr" / "bin" / "promtool"]


def test_others_read_the_command_and_the_tests_go_on(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert packages.main(["tests"]) == 0
    assert not (bare / "calls").exists()
    lacking = (
        "chromium ethtool ffmpeg fish gcc gstreamer1.0-plugins-good gstreamer1.0-tools iproute2 libc6-dev mpv"
        " nftables"
    )
    also = "openssl srt-tools systemd vlc-bin vlc-plugin-base xvfb zsh"
    wanted = ", ".join(sorted([*lacking.split(), "prometheus", *also.split()]))
    command = f"sudo apt-get install --no-install-recommends {lacking} {also}; {UNPACK}"
    assert capsys.readouterr().err == f"make: missing for tests: {wanted}: {command}\n"


def test_a_failed_installation_is_named_and_the_tests_go_on(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    assert packages.main(["lab"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first == "make: 'apt-get update -q' failed: install ethtool iproute2 by hand"
    assert second.startswith("make: missing for lab: ethtool, iproute2: sudo apt-get install ")


@pytest.mark.usefixtures("bare")
def test_without_pythons_venv_there_is_no_going_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "_has_venv", lambda: False)
    assert packages.main(["venv"]) == 2
    package = f"python3.{sys.version_info.minor}-venv"
    assert capsys.readouterr().err.startswith(f"make: missing for venv: {package}: sudo apt-get install ")


def test_what_an_ordinary_users_path_does_not_lead_to_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tc = tmp_path / "tc"
    tc.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(packages, "_ALSO", (str(tmp_path),))
    assert packages.missing(["tc"]) == []
