"""Where a stream is to go, as `--output` (any number of times) and `--player` say: checked, then opened.

Everything is checked before a stream is asked for, and opened once its first media is there: a join that
fails touches no file and starts no player. A FIFO is the exception: it is opened, and so its reader is waited
for, before anybody is asked.
"""

import argparse
import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl

from mcast.errors import ConfigError
from mcast.hostport import parse_address
from mcast.media.datagrams import DatagramOutput, Destination, open_socket
from mcast.media.output import (
    Ended,
    Output,
    Writer,
    check_file,
    check_stdout,
    fifo_output,
    file_output,
    stdout_output,
    unusable,
)
from mcast.media.outputs import Outputs
from mcast.media.player import Player, player_command
from mcast.net.addresses import SockAddr, resolve
from mcast.net.waiting import Waiting
from mcast.roles import cli
from mcast.roles.client.segments import SegmentStore, check_folder

MAX_OUTPUTS = 16
"""Each has a thread, and a queue of up to 32 MiB."""
MAX_TTL = 255
MAX_TTL_DIGITS = 3

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SCHEMES = ("udp", "rtp")
_OPTIONS = ("ttl", "iface")

Opener: TypeAlias = Callable[[], Output]


class Targets:
    """The outputs of one run. Owns those that are open."""

    def __init__(self, options: argparse.Namespace, process: cli.Process) -> None:
        """Check what can be. Raises ConfigError, and UnreachableError if no name server answers."""
        self._content, self._patience, self._process = options.content, options.wait, process
        self._segment: float | None = options.segment
        self._fifos: list[Path] = []
        self._openers: list[Opener] = []
        self._open: list[Output] = []
        self._output: Output | None = None
        names = options.output or []
        _check_names(names)
        for name in names:
            self._take(name)
        if self._segment is not None and not any(map(_is_place, names)):
            raise ConfigError("--segment: name the folder for the files with --output")
        if options.player is not None or not names:
            self._take_player(options.player)

    @property
    def open_ones(self) -> tuple[Output, ...]:
        """Return what has been opened, also when it is closed again."""
        return tuple(self._open)

    def await_readers(self) -> None:
        """Open the FIFOs, each once somebody reads it, unless the user wants to go before.

        Raises UnreachableError if nobody reads one in time, and ConfigError.
        """
        process = self._process
        for path in self._fifos:
            fifo = fifo_output(path, process.on_crash, self._patience, process.stop)
            if fifo is not None:
                self._open.append(fifo)

    def open(self) -> Output:
        """Open the rest; return what takes the stream. Raises ConfigError."""
        for opener in self._openers:  # one by one: should one fail, those before it are known and closed
            self._open.append(opener())
        parts, on_crash = self._open, self._process.on_crash
        self._output = parts[0] if len(parts) == 1 else Outputs(parts, self._content, on_crash)
        return self._output

    def close(self, *, is_over: bool) -> Ended | None:
        """Close what is open, once what is queued has gone out; tell what has failed."""
        if self._output is not None:
            return self._output.close(is_over=is_over)
        for part in self._open:  # the stream never began, or another one could not be opened
            part.close(drain=False)
        return None

    def _take(self, name: str) -> None:
        on_crash, stop = self._process.on_crash, self._process.stop
        path = Path(name)
        if name == "-":
            check_stdout()
            self._openers.append(lambda: stdout_output(on_crash, stop))
        elif _URL.match(name):
            destination = destination_of(name, lambda host, port: self._resolve(name, host, port))
            open_socket(destination, f"--output {name}").close()
            self._openers.append(lambda: DatagramOutput(destination, name, on_crash, hurry=stop))
        else:
            try:
                self._take_place(path)
            except OSError as error:  # a name that is too long, a folder that may not be looked into
                raise unusable(path, error.errno or errno.EIO) from None

    def _take_place(self, path: Path) -> None:
        on_crash, stop = self._process.on_crash, self._process.stop
        if path.is_fifo():
            self._fifos.append(path)
        elif (seconds := self._segment) is not None:
            check_folder(path)
            self._openers.append(lambda: Writer(SegmentStore(path, seconds), on_crash, hurry=stop))
        else:
            check_file(path)
            self._openers.append(lambda: file_output(path, on_crash, stop))

    def _take_player(self, command: str | None) -> None:
        on_crash, stop = self._process.on_crash, self._process.stop
        arguments = player_command(command, self._content, os.environ)
        self._openers.append(lambda: Player(arguments, on_crash, hurry=stop))

    def _resolve(self, name: str, host: str, port: int) -> SockAddr:
        process = self._process
        try:
            with Waiting(f"the address of {host} ({name})", process.on_crash):
                address, *_ = resolve(host, port, self._patience, cancelled=process.stop.is_set)
        except ConfigError as error:
            raise _unusable(name, str(error)) from None
        return address


def destination_of(name: str, find: Callable[[str, int], SockAddr]) -> Destination:
    """Read `udp://HOST:PORT?ttl=N&iface=ADDR`, or the same with `rtp`. Raises ConfigError.

    `find` looks a host up.
    """
    scheme, _, rest = name.partition("://")
    if scheme.lower() not in _SCHEMES:
        raise _unusable(name, "no such output; udp:// and rtp:// are, and --output - for what reads a pipe")
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options:
        if key not in _OPTIONS:
            raise _unusable(name, f"there is no option '{key}'; ttl=1 to {MAX_TTL} and iface=ADDR are")
    ttl = options.get("ttl")
    if ttl is not None and not (ttl.isdecimal() and len(ttl) <= MAX_TTL_DIGITS and 1 <= int(ttl) <= MAX_TTL):
        raise _unusable(name, f"ttl={ttl} is no number from 1 to {MAX_TTL}")
    try:
        address = parse_address(place.removesuffix("/"), lowest_port=1)
    except ConfigError as error:
        raise _unusable(name, str(error)) from None
    if not address.host:
        raise _unusable(name, f"it has no host; write {scheme}://HOST:PORT")
    return Destination(
        find(*address), scheme.lower() == "rtp", None if ttl is None else int(ttl), options.get("iface", "")
    )


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_OUTPUTS:
        raise ConfigError(f"--output: {len(names)} of them; {MAX_OUTPUTS} at most")
    seen: set[str] = set()
    for name in names:
        place = _real_place(name) if _is_place(name) else name
        if place in seen:
            raise _unusable(name, "it is given twice; leave one out")
        seen.add(place)


def _real_place(name: str) -> str:
    """Return where a path leads to, as far as can be seen."""
    try:
        return str(Path(name).resolve())
    except (OSError, RuntimeError):  # too long, or links in a circle: said when it is opened
        return name


def _is_place(name: str) -> bool:
    """Return whether an output is in the file system."""
    return name != "-" and not _URL.match(name)


def _unusable(name: str, why: str) -> ConfigError:
    return ConfigError(f"--output {name}: {why}")
