"""Media servers whose viewers read by TCP: nginx with its RTMP module, SRS, MediaMTX.

Each is fed as its users feed it: a program publishes each content by RTMP (`ffmpeg -c copy`, on the other
core), and gets it from mcast's rendezvous point, in the same trains as all contenders. A gigabit is counted
where it is read: FLV carries the same with some three per cent less around it than MPEG-TS.
"""

import contextlib
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.relays import rtmp
from bench.relays.contenders import INPUT_PORT, Load, Running
from bench.relays.feeds import Form, fed, wait_for_ports
from bench.relays.machine import CORE_UNDER_TEST, OTHER_CORE, on_core
from bench.relays.receivers import reader
from bench.relays.setting import Setting
from bench.viewers import free_ports
from mcast.hostport import HostPort
from tools.demo.processes import ProgramProcess, stop_all, wait_until

HOST = "127.0.0.1"
APPLICATION = "live"
PUBLISH_SECONDS = 60.0
"""Until the first media come out of the server: a publisher looks at its input before it begins."""
FIRST_BYTES = 50_000
"""Of media; less are headers."""
RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens."""

    rtmp: int
    http: int


@dataclass(frozen=True, slots=True)
class TcpPeer:
    """A media server, and how a viewer asks it for a stream."""

    name: str
    program: str
    package: str  # how to get it
    options: tuple[str, ...]  # with `{config}`, the file
    config: Callable[[Path, Ports], str]
    ask: Callable[[Ports, str], socket.socket]
    binary: str = ""  # where it is not in the PATH
    module: str = ""  # a file that it loads

    @property
    def ready_seconds(self) -> float:
        return 9.0  # a publisher looks at its input before it begins

    def lacking(self) -> str:
        if shutil.which("ffmpeg") is None:
            return f"{self.name} is fed by ffmpeg: apt-get install ffmpeg"
        is_here = self._path() and (not self.module or Path(self.module).exists())
        return "" if is_here else f"{self.name} is not installed: {self.package}"

    @contextlib.contextmanager
    def running(self, setting: Setting, load: Load) -> Iterator[Running]:
        ports = Ports(*free_ports(2))
        names = [f"s{number}" for number in range(load.contents)]
        started: list[ProgramProcess] = []
        try:
            started.append(self._server(setting.folder, ports))
            wait_until(lambda: _listens(ports.rtmp), f"{self.name} to listen")
            for number, name in enumerate(names):
                started.append(_publisher(setting.folder, INPUT_PORT + number, ports, name))
            wait_for_ports(range(INPUT_PORT, INPUT_PORT + load.contents), 1, f"{self.name}'s publishers")
            with fed(setting, load, Form.TS, by_group=False):
                # Asking blocks, and the children that feed all this must not fall silent meanwhile.
                viewers = setting.loop.beside(lambda: self._viewers(ports, names, load.children))
                with reader(viewers) as receivers:
                    yield Running((started[0].pid,), receivers, carries_rtp=False)
        finally:
            stop_all(started)

    def _server(self, folder: Path, ports: Ports) -> ProgramProcess:
        place = folder / self.name
        place.mkdir(exist_ok=True)
        config = place / "config"
        config.write_text(self.config(place, ports))
        command = [self._path() or self.program, *(option.format(config=config) for option in self.options)]
        log = folder / f"{self.name}.log"
        # In a place of its own: MediaMTX writes its certificate where it is started.
        return ProgramProcess(self.name, on_core(CORE_UNDER_TEST, command), log, folder=place)

    def _path(self) -> str | None:
        found = shutil.which(self.binary or self.program)
        return None if found is None else str(Path(found).absolute())

    def _viewers(self, ports: Ports, names: list[str], count: int) -> list[socket.socket]:
        """Return so many viewers of each stream, once all are published."""
        deadline = time.monotonic() + PUBLISH_SECONDS
        for name in names:
            while not self._is_published(ports, name):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} has not been published within {PUBLISH_SECONDS:g} s")
                time.sleep(RETRY_SECONDS)
        return [self.ask(ports, name) for name in names for _ in range(count)]

    def _is_published(self, ports: Ports, name: str) -> bool:
        """Return whether media come; a server may also keep silent, refuse or close until then."""
        try:
            with self.ask(ports, name) as sock:
                got = 0
                while got < FIRST_BYTES and (data := sock.recv(1 << 18)):
                    got += len(data)
                return got >= FIRST_BYTES
        except OSError:
            return False


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0


def _publisher(folder: Path, port: int, ports: Ports, name: str) -> ProgramProcess:
    source = f"udp://{HOST}:{port}?buffer_size=8388608&fifo_size=100000&overrun_nonfatal=1"
    command = [
        "ffmpeg", "-nostdin", "-v", "error", "-probesize", "1000000", "-analyzeduration", "2000000",
        "-i", source, "-c", "copy", "-f", "flv", f"rtmp://{HOST}:{ports.rtmp}/{APPLICATION}/{name}",
    ]  # fmt: skip
    return ProgramProcess("publisher", on_core(OTHER_CORE, command), folder / f"publisher-{name}.log")


# How a viewer asks.


def by_rtmp(ports: Ports, name: str) -> socket.socket:
    """Ask by RTMP. Raises OSError."""
    return rtmp.play(HostPort(HOST, ports.rtmp), APPLICATION, name)


def by_http(ports: Ports, name: str) -> socket.socket:
    """Ask for FLV by HTTP. Raises OSError."""
    sock = socket.create_connection((HOST, ports.http), rtmp.SECONDS)
    try:
        sock.sendall(f"GET /{APPLICATION}/{name}.flv HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        if not sock.recv(12).endswith(b"200"):
            raise ConnectionError("refused")
    except BaseException:
        sock.close()
        raise
    return sock


# What each is told. All of them have one thread or process, and write no files.


RTMP_MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"


def _nginx(place: Path, ports: Ports) -> str:
    return f"""
load_module {RTMP_MODULE};
daemon off; master_process off; user root; pid {place}/pid; error_log {place}/errors error;
events {{ worker_connections 4096; }}
rtmp {{
    access_log off;
    server {{ listen {HOST}:{ports.rtmp}; chunk_size 4096; application {APPLICATION} {{ live on; }} }}
}}
"""


def _srs(play: str) -> Callable[[Path, Ports], str]:
    """Return the settings of SRS: its own defaults, and what a viewer's side is told beside them."""

    def config(place: Path, ports: Ports) -> str:
        return f"""
listen {HOST}:{ports.rtmp}; max_connections 2000; daemon off; pid {place}/pid;
srs_log_tank console; srs_log_level error;
http_server {{ enabled on; listen {HOST}:{ports.http}; dir {place}; }}
vhost __defaultVhost__ {{
    {play}
    http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; }}
}}
"""

    return config


def _mediamtx(_: Path, ports: Ports) -> str:
    return f"""
logLevel: error
rtsp: no
hls: no
webrtc: no
srt: no
rtmp: yes
rtmpAddress: {HOST}:{ports.rtmp}
paths: {{ all_others: {{}} }}
"""


NGINX = TcpPeer(
    "nginx-rtmp", "nginx", "apt-get install nginx-light libnginx-mod-rtmp",
    ("-c", "{config}", "-e", "stderr"), _nginx, by_rtmp, module=RTMP_MODULE,
)  # fmt: skip
SRS_HOW = "build it (ossrs/srs) and name it: --peer-binary srs=/path/of/srs"
SRS = TcpPeer("srs", "srs", SRS_HOW, ("-c", "{config}"), _srs(""), by_http)
SRS_PROMPT = TcpPeer(
    "srs-40ms", "srs", SRS_HOW, ("-c", "{config}"), _srs("play { mw_latency 40; mw_msgs 0; }"), by_http
)
"""It gathers what it writes for 350 ms otherwise."""
MEDIAMTX = TcpPeer(
    "mediamtx", "mediamtx", "get it (bluenviron/mediamtx) and name it: --peer-binary mediamtx=PATH",
    ("{config}",), _mediamtx, by_rtmp,
)  # fmt: skip
