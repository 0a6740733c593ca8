"""The machines of docs/deploy.md: nodes of a lab, each with an /etc, /opt, /srv and /var/cache of its own.

What a test cannot have is stood in for, by programs in front of PATH: `ssh` enters another machine, `git`
gives the files of this checkout, `systemctl` starts services without systemd, `apt-get` and `sysctl` would
change the host. All else is real: users, permissions, the firewall, the units' commands.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from helpers import wait_until
from tools.lab.lab import Lab

ROOT = Path(__file__).parents[2]
SYSTEMCTL = Path(__file__).with_name("systemctl.py")
TYPING = 200.0
"""Seconds for the commands of one block: one of them encodes a film."""
SHIPPED = ("bin", "docs", "resources", "src")

SET_UP = """
umask 022
mkdir /run/layers
mount -t tmpfs layers /run/layers
for each in etc opt srv var/cache; do
    above=/run/layers/$each
    mkdir -p $above/new $above/work
    mount -t overlay -o lowerdir=/$each,upperdir=$above/new,workdir=$above/work overlay /$each
done
touch {home}/up
exec sleep infinity
"""
"""What a machine changes below these directories lies in its memory, above the host's files."""
STAND_INS = {
    "apt-get": "#!/bin/sh\n",
    "sysctl": "#!/bin/sh\ntest -r /etc/sysctl.d/mcast.conf\n",
    "git": '#!/bin/sh\n[ "$*" = "archive HEAD" ] && exec tar -c -C {root} {shipped}\n',
    "systemctl": '#!/bin/sh\nexec {python} -I -S {systemctl} "$@"\n',
    "ssh": (
        "#!/bin/sh\n"
        "read -r pid < {home}/machines/${{1#root@}}\n"
        'exec nsenter --target "$pid" --mount --net --uts sh -c "umask 022; cd /; $2"\n'
    ),
}


class Machines:
    """A lab's nodes as machines, while entered."""

    def __init__(self, home: Path, places: dict[str, tuple[str, str]]) -> None:
        """`places`: by the name that the page gives a machine, its node in simple_1 and its address."""
        self._home, self._places = home, places
        self._lab = Lab("simple_1")
        self._holders: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._lab.__enter__()
        try:
            self._write_stand_ins()
            for name in self._places:
                self._switch_on(name)
        except BaseException:
            self._lab.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lab.close()

    def type(self, name: str, commands: str) -> str:
        """Type commands on a machine, as root; return what they print. Raises AssertionError if one fails."""
        path, home = f"{self._home / 'stand-ins'}:{os.environ['PATH']}:/usr/sbin:/sbin", self.home_of(name)
        done = subprocess.run(
            [*self._enter(name), "bash", "-e", "-o", "pipefail", "-c", f"umask 022; cd {home}\n{commands}"],
            env={"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TYPING, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {commands}\n{done.stdout}{done.stderr}{self._logs()}"
        return done.stdout

    def can_connect(self, name: str, address: str) -> bool:
        """Tell whether a machine reaches a TCP port. What a firewall drops takes a second to find out."""
        host, _, port = address.rpartition(":")
        attempt = f"import socket; socket.create_connection(({host!r}, {port}), 1)"
        command = [*self._enter(name), sys.executable, "-I", "-S", "-c", attempt]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def home_of(self, name: str) -> Path:
        """Return where a machine's files are, as seen from outside."""
        return self._home / name

    def _enter(self, name: str) -> list[str]:
        return ["nsenter", "--target", str(self._holders[name]), "--mount", "--net", "--uts"]

    def _write_stand_ins(self) -> None:
        for folder in ("stand-ins", "machines"):
            (self._home / folder).mkdir()
        names = {
            "root": ROOT, "shipped": " ".join(SHIPPED), "home": self._home, "python": sys.executable,
            "systemctl": SYSTEMCTL,
        }  # fmt: skip
        for name, text in STAND_INS.items():
            file = self._home / "stand-ins" / name
            file.write_text(text.format(**names))
            file.chmod(0o755)

    def _switch_on(self, name: str) -> None:
        node, address = self._places[name]
        home = self.home_of(name)
        home.mkdir()
        holder = self._lab.popen(node, ["sh", "-e", "-c", SET_UP.format(home=home)])
        wait_until(lambda: (home / "up").exists() or holder.poll() is not None, f"{name} to be up")
        assert holder.poll() is None, f"{name} has not come up"
        self._holders[name] = holder.pid
        (self._home / "machines" / address).write_text(f"{holder.pid}\n")
        for shipped in SHIPPED:  # the desk types its commands in a checkout
            (home / shipped).symlink_to(ROOT / shipped)

    def _logs(self) -> str:
        logs = sorted(self._lab.directory.glob("*.conf/.run/services/*.log"))
        return "".join(f"--- {log.stem}\n{log.read_text()}" for log in logs)
