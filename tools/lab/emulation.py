"""The lab's side of the emulation process: starts it, tells it what to do, ends it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from mcast.errors import ConfigError
from tools.lab import emulator
from tools.lab.options import LinkOptions

ANSWER_TIMEOUT = 10.0  # s; it answers between two packets
STOP_TIMEOUT = 2.0  # s
CHECKOUT = Path(__file__).parents[2]


class Emulation:
    """One emulation process, which serves all shaped links of a lab."""

    def __init__(self, namespace: Path, log: Path) -> None:
        if not Path(emulator.TUN_DEVICE).is_char_device():
            raise ConfigError(
                f"{emulator.TUN_DEVICE}: not there, and this kernel has no netem; links with delay, "
                "loss or rate need one of them: modprobe tun"
            )
        self._log = log
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_TIMEOUT)
        command = [sys.executable, "-m", emulator.__name__, str(theirs.fileno()), str(namespace)]
        with theirs, log.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                env={**os.environ, "PYTHONPATH": f"{CHECKOUT / 'src'}{os.pathsep}{CHECKOUT}"},
            )

    def add(self, link: str, taps: tuple[str, str], seeds: tuple[str, str]) -> None:
        """Create the two TAP devices of a link and carry its packets unchanged. Raises ConfigError."""
        self._ask(emulator.add_message(link, taps, seeds))

    def shape(self, link: str, options: tuple[LinkOptions, LinkOptions]) -> None:
        self._ask(emulator.shape_message(link, options))

    def check(self) -> None:
        """Raise RuntimeError if the process has ended: its links would be silent for no visible reason."""
        if self._process.poll() is not None:
            said = self._log.read_text(errors="replace").strip().splitlines()
            reason = f": {said[-1]}" if said else ""
            raise RuntimeError(f"the emulation process ended with status {self._process.returncode}{reason}")

    def _ask(self, message: dict[str, Any]) -> None:
        self.check()
        self._control.send(json.dumps(message).encode())
        answer = self._control.recv(emulator.MESSAGE_BYTES)
        if not answer:
            self._process.wait(STOP_TIMEOUT)
            self.check()
        if error := json.loads(answer).get("error"):
            raise ConfigError(error)

    def stop(self) -> None:
        self._control.close()  # which is what it waits for
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
            return
        self._process.kill()
        self._process.wait()
