"""What others would pick to copy datagrams, and the limit: programs that are told by a command what to do.

Each is used as its users do when they need the same stream at many places: multicat and socat know one
output each, so there is a process for each child, and all of them hear one multicast group; ffmpeg and
GStreamer have many outputs in a process; SRT and RIST repair losses, so their children are programs of their
own that speak the same protocol (on the other core, as all children).
"""

import contextlib
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from bench.relays.contenders import INPUT_PORT, OUTPUT_PORT, Load, Running, child_address
from bench.relays.feeds import Form, fed, group, wait_for_ports
from bench.relays.machine import CORE_UNDER_TEST, OTHER_CORE, on_core
from bench.relays.receivers import C_PROGRAMS
from bench.relays.setting import Setting
from tools.demo.processes import ProgramProcess, stop_all

LINK_PORT = 27_000
"""Between a peer and a receiving program of the same protocol: the first content's; RIST needs even ports."""


class Each(Enum):
    """What there is a process for."""

    ALL = auto()
    CONTENT = auto()
    CHILD = auto()


@dataclass(frozen=True, slots=True)
class UdpPeer:
    """A relay that is told by its command where media come from and where they go.

    In the command stand `{port}` and `{group}` (where a content comes in), `{targets}` or, with a process for
    each child, `{target}` (where it goes), and `{routes}` (a file with all of that).
    """

    name: str
    command: str
    package: str = ""  # none: it is the benchmark's own
    each: Each = Each.CONTENT
    form: Form = Form.RTP
    target: str = "{}"  # how it writes an address IP:PORT
    between: str = ","  # two targets
    looks_seconds: float = 0.0  # at its input before it begins
    receiver: str = ""  # a program for each child, from `{link}` to `{output}`; none: whoever has the address

    @property
    def ready_seconds(self) -> float:
        return self.looks_seconds + 4.0

    def lacking(self) -> str:
        for command in filter(None, (self.command, self.receiver)):
            if self.package and shutil.which(shlex.split(command)[0]) is None:
                return f"{self.name} is not installed: apt-get install {self.package}"
        return ""

    @contextlib.contextmanager
    def running(self, setting: Setting, load: Load) -> Iterator[Running]:
        by_group = self.each is Each.CHILD
        ports = range(INPUT_PORT, INPUT_PORT + load.contents)
        started: list[ProgramProcess] = []
        try:
            if self.receiver:
                _start(started, setting.folder, f"{self.name}-child", OTHER_CORE, self._receivers(load))
            relays = len(started)
            _start(started, setting.folder, self.name, CORE_UNDER_TEST, self._relays(setting.folder, load))
            wait_for_ports(ports, load.children if by_group else 1, self.name)
            with fed(setting, load, self.form, by_group=by_group):
                setting.loop.run(self.looks_seconds)
                pids = tuple(program.pid for program in started[relays:])
                yield Running(pids, carries_rtp=self.form is Form.RTP)
        finally:
            stop_all(started)

    def _relays(self, folder: Path, load: Load) -> list[str]:
        """Return the command of each process."""
        contents = {at: self._targets(load, at) for at in range(load.contents)}
        if self.each is Each.ALL:
            routes = folder / "routes"
            lines = (f"{INPUT_PORT + at} {' '.join(targets)}\n" for at, targets in contents.items())
            routes.write_text("".join(lines))
            return [self.command.format(routes=shlex.quote(str(routes)))]
        if self.each is Each.CONTENT:
            return [self._command(at, targets=self.between.join(each)) for at, each in contents.items()]
        return [self._command(at, target=target) for at, each in contents.items() for target in each]

    def _command(self, content: int, **fields: str) -> str:
        return self.command.format(port=INPUT_PORT + content, group=group(content), **fields)

    def _targets(self, load: Load, content: int) -> list[str]:
        port = LINK_PORT + 2 * content if self.receiver else OUTPUT_PORT + content
        return [self.target.format(f"{child_address(number)}:{port}") for number in range(load.children)]

    def _receivers(self, load: Load) -> list[str]:
        return [
            self.receiver.format(
                link=f"{child_address(number)}:{LINK_PORT + 2 * content}",
                output=f"{child_address(number)}:{OUTPUT_PORT + content}",
            )
            for content in range(load.contents)
            for number in range(load.children)
        ]


def _start(
    started: list[ProgramProcess], folder: Path, name: str, core: int, commands: Sequence[str]
) -> None:
    """Start a process for each command; what runs is in `started`, even if one cannot be started."""
    for number, command in enumerate(commands):
        log = folder / f"{name}-{number}.log"
        started.append(ProgramProcess(name, on_core(core, shlex.split(command)), log))


RELAY = shlex.quote(str(C_PROGRAMS / "relay"))
LIMIT = UdpPeer("limit", f"{RELAY} trains {{routes}}", each=Each.ALL)
SINGLE = UdpPeer("single", f"{RELAY} single {{routes}}", each=Each.ALL)
MULTICAT = UdpPeer(
    "multicat",
    "multicat -u -U -m 1328 @{group}:{port}/ifaddr=127.0.0.1 {target}",
    "multicat",
    each=Each.CHILD,
)
SOCAT = UdpPeer(
    "socat",
    "socat -u -b 2048"
    " UDP4-RECV:{port},bind={group},ip-add-membership={group}:127.0.0.1,reuseaddr,rcvbuf=8388608"
    " UDP4-SENDTO:{target}",
    "socat",
    each=Each.CHILD,
)
GSTREAMER = UdpPeer(
    "gstreamer",
    "gst-launch-1.0 -q udpsrc port={port} buffer-size=8388608 ! "
    "multiudpsink clients={targets} sync=false async=false buffer-size=8388608",
    "gstreamer1.0-tools gstreamer1.0-plugins-good",
)
FFMPEG = UdpPeer(
    "ffmpeg",
    "ffmpeg -nostdin -v error -fflags nobuffer -probesize 1000000 -analyzeduration 2000000 -copyts"
    " -i 'udp://127.0.0.1:{port}?buffer_size=8388608&fifo_size=100000&overrun_nonfatal=1'"
    " -map 0 -c copy -muxdelay 0 -muxpreload 0 -f tee '{targets}'",
    "ffmpeg",
    form=Form.TS,
    target="[f=mpegts]udp://{}?pkt_size=1316",
    between="|",
    looks_seconds=4.0,
)
SRT = UdpPeer(
    "srt",
    "srt-live-transmit -q -a:yes -chunk:1316 udp://{group}:{port}?adapter=127.0.0.1"
    " 'srt://{target}?mode=caller&latency=120'",
    "srt-tools",
    each=Each.CHILD,
    form=Form.TS,
    receiver="srt-live-transmit -q -a:yes -chunk:1316 'srt://{link}?mode=listener&latency=120' udp://{output}",
)
RIST = UdpPeer(
    "rist",
    "ristsender -p 1 -v 3 -S 0 -i udp://@127.0.0.1:{port} -o '{targets}'",
    "rist-tools",
    form=Form.TS,
    target="rist://{}?buffer=250&weight=0",
    receiver="ristreceiver -p 1 -v 3 -S 0 -i 'rist://@{link}?buffer=250' -o udp://{output}",
)
