"""The stream on the network: what real receivers get of it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from helpers import PATIENCE, group_of, is_bound, is_joined, unused_port, wait_until
from mcast.errors import ConfigError
from mcast.media.datagrams import PAYLOAD, DatagramOutput, Destination
from mcast.media.output import MAX_QUEUED
from mcast.net.threads import CrashBox
from mcast.wire.mpegts import PACKET
from mcast.wire.rtp import HEADER_SIZE, RtpHeader
from media.plane.test_departures import frames
from media.source.transport import complaints, packets, run
from topology.netns import Networks

GROUP = "239.255.47.11"


@pytest.fixture
def crash() -> CrashBox:
    return CrashBox(threading.Event())


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        yield receiver


def output_to(receiver: socket.socket, crash: CrashBox, **options: object) -> DatagramOutput:
    destination = Destination(("127.0.0.1", receiver.getsockname()[1]), **options)  # type: ignore[arg-type]
    return DatagramOutput(destination, "udp://here", crash)


def test_a_receiver_gets_all_packets_seven_at_a_time(receiver: socket.socket, crash: CrashBox) -> None:
    data = frames(0, 10)
    with closing(output_to(receiver, crash)) as output:
        assert output.write(data)
        output.close()
        came = [receiver.recv(2_000) for _ in range(len(data) // PAYLOAD)]
    assert {len(each) for each in came} == {1_316}
    assert b"".join(came) == data
    assert (output.written, output.dropped, output.ended()) == (len(data), 0, None)


def test_they_come_at_the_streams_own_pace(receiver: socket.socket, crash: CrashBox) -> None:
    with closing(output_to(receiver, crash)) as output:
        output.write(frames(0, 26))
        receiver.recv(2_000)
        began = time.monotonic()
        for _ in range(49):
            receiver.recv(2_000)
        took = time.monotonic() - began
    assert took > 0.9  # a second of media never comes sooner; how much later is the machine's affair


def test_rtp_has_numbers_and_the_streams_time(receiver: socket.socket, crash: CrashBox) -> None:
    with closing(output_to(receiver, crash, rtp=True)) as output:
        output.write(data := frames(0, 6))
        output.close()
        came = [receiver.recv(2_000) for _ in range(len(data) // PAYLOAD)]
    headers = [RtpHeader.unpack(each) for each in came]
    assert b"".join(each[HEADER_SIZE:] for each in came) == data
    first = headers[0]
    assert [(each.sequence - first.sequence) & 0xFFFF for each in headers] == list(range(len(came)))
    assert {each.ssrc for each in headers} == {first.ssrc}
    # Two datagrams a frame of 40 ms; behind the last PCR the clock stands still.
    times = [(each.timestamp - first.timestamp) & 0xFFFF_FFFF for each in headers]
    assert times[:10] == [1_800 * number for number in range(10)]


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
def test_a_group_is_reached_by_the_interface_of_this_name_or_address(interface: str, crash: CrashBox) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
        member.bind((GROUP, 0))
        member.settimeout(PATIENCE)
        membership = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        destination = Destination((GROUP, member.getsockname()[1]), ttl=4, interface=interface)
        with closing(DatagramOutput(destination, "udp://group", crash)) as output:
            output.write(frames(0, 3))
            assert len(member.recv(2_000)) == PAYLOAD
            assert output._socket.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 4


@pytest.mark.parametrize("interface", ["nowhere0", "192.0.2.1"])
def test_an_interface_that_is_not_there_is_a_configuration_error(interface: str, crash: CrashBox) -> None:
    with pytest.raises(ConfigError, match=f"udp://group: iface={interface}: this machine has no such"):
        DatagramOutput(Destination((GROUP, 9), interface=interface), "udp://group", crash)


def test_ipv6_has_its_own_options(crash: CrashBox) -> None:
    destination = Destination(("::1", 9, 0, 0), ttl=2, interface="lo")
    with closing(DatagramOutput(destination, "udp://group", crash)) as output:
        assert output._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 2


MEMBER = """
import socket, struct, sys
group, device = sys.argv[1:]
member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
member.bind((group, 0))
membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", socket.if_nametoindex(device))
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
print(member.getsockname()[1], flush=True)
data, [(_, _, hops)], *_ = member.recvmsg(2_000, 100)
print(len(data), *struct.unpack("@i", hops), flush=True)
"""
SENDER = """
import sys, threading
from mcast.media.datagrams import DatagramOutput
from mcast.net.addresses import resolve
from mcast.net.threads import CrashBox
from mcast.roles.client.targets import destination_of
from media.plane.test_departures import frames
destination = destination_of(sys.argv[1], lambda host, port: resolve(host, port)[0])
output = DatagramOutput(destination, sys.argv[1], CrashBox(threading.Event()))
output.write(frames(0, 3))
output.close()
"""
"""What `--output URL` does."""


@pytest.mark.netns
def test_a_group_of_ipv6_is_reached_by_the_interface_that_is_named() -> None:
    group, env = "ff15::4d43:1", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Networks() as networks:
        for host in ("sender", "other", "member"):
            networks.add(host)
        # Two cables: by the first one, which the kernel would take, nobody of the group is reached.
        devices = [
            (host, device)
            for number, to in enumerate(("other", "member"), start=1)
            for host, device in zip(
                ("sender", to),
                networks.link("sender", f"10.79.{number}.1/24", to, f"10.79.{number}.2/24"),
                strict=True,
            )
        ]
        for number, (host, device) in enumerate(devices):
            address = f"2001:db8:{number // 2}::{number + 1}/64"
            networks.ip(host, "address", "add", address, "dev", device, "nodad")
        sending, joined = devices[2][1], devices[3][1]
        with subprocess.Popen(
            networks.inside("member", sys.executable, "-c", MEMBER, group, joined),
            stdout=subprocess.PIPE, text=True,
        ) as member:  # fmt: skip
            assert member.stdout is not None
            try:
                url = f"udp://[{group}]:{member.stdout.readline().strip()}?ttl=4&iface={sending}"
                subprocess.run(
                    networks.inside("sender", sys.executable, "-c", SENDER, url),
                    env=env,
                    check=True,
                    timeout=PATIENCE,
                )
                assert member.communicate(timeout=PATIENCE)[0] == f"{PAYLOAD} 4\n"
            finally:
                member.kill()


def test_a_receiver_that_comes_later_gets_the_rest(crash: CrashBox) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        port = unused_port()
        receiver.bind(("127.0.0.1", port))
        output = output_to(receiver, crash)
    with closing(output):
        output.write(frames(0, 250))
        wait_until(lambda: output.written > 2 * PAYLOAD, "some to be sent to nobody")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", port))
            receiver.settimeout(PATIENCE)
            assert len(receiver.recv(2_000)) == PAYLOAD
        output.close(drain=False)
    assert output.ended() is None


def test_what_finds_no_room_is_dropped_and_counted(receiver: socket.socket, crash: CrashBox) -> None:
    with closing(output_to(receiver, crash)) as output:
        piece = frames(0, 1) + frames(0, 1)[PACKET:] * 400
        while output.write(piece):
            assert output._departures.queued <= MAX_QUEUED
        assert output.dropped == len(piece)
        assert output._departures.queued <= MAX_QUEUED
        output.close(drain=False)


def test_who_is_in_a_hurry_does_not_wait_for_the_rest(receiver: socket.socket, crash: CrashBox) -> None:
    hurry = threading.Event()
    destination = Destination(("127.0.0.1", receiver.getsockname()[1]))
    output = DatagramOutput(destination, "udp://here", crash, hurry=hurry)
    output.write(frames(0, 25 * 600))
    hurry.set()
    began = time.monotonic()
    output.close()
    assert time.monotonic() - began < 5  # and not the ten minutes that it lasts


@pytest.mark.players
def test_gstreamer_receives_a_group_byte_for_byte(crash: CrashBox, tmp_path: Path) -> None:
    port = unused_port()
    data, target, group = frames(0, 75), tmp_path / "received.ts", group_of(port)
    receive = ["gst-launch-1.0", "-q", "udpsrc", f"address={group}", f"port={port}", "multicast-iface=lo",
               "num-buffers=60", "!", "filesink", f"location={target}"]  # fmt: skip
    gstreamer = subprocess.Popen(receive, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: is_joined(group), "GStreamer to join")
        destination = Destination((group, port), ttl=1, interface="127.0.0.1")
        with closing(DatagramOutput(destination, "udp://group", crash)) as output:
            output.write(data)
            assert gstreamer.wait(PATIENCE) == 0
            output.close(drain=False)
    finally:
        gstreamer.kill()
        said = gstreamer.communicate()[1]
    assert said == ""
    received = target.read_bytes()
    assert len(received) == 60 * PAYLOAD
    assert received in data


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("scheme", "to_group"), [("udp", False), ("rtp", False), ("udp", True)], ids=["udp", "rtp", "multicast"]
)
def test_ffmpeg_receives_it_whole(scheme: str, to_group: bool, crash: CrashBox, tmp_path: Path) -> None:
    clip, target, port = tmp_path / "clip.ts", tmp_path / "received.ts", unused_port()
    host, how = (group_of(port), "?localaddr=127.0.0.1") if to_group else ("127.0.0.1", "")
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=3",
        "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pcr_period", "20", clip)  # fmt: skip
    ffmpeg = subprocess.Popen(
        ["ffmpeg", "-v", "warning", "-nostdin", "-probesize", "100000", "-i", f"{scheme}://{host}:{port}{how}",
         "-t", "1.5", "-c", "copy", target],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: is_joined(host) if to_group else is_bound(port), "ffmpeg to listen")
        destination = Destination((host, port), rtp=scheme == "rtp", ttl=1, interface="127.0.0.1")
        with closing(DatagramOutput(destination, f"{scheme}://here", crash)) as output:
            output.write(clip.read_bytes())
            assert ffmpeg.wait(PATIENCE) == 0
            output.close(drain=False)
    finally:
        ffmpeg.kill()
        said = ffmpeg.communicate()[1]
    if scheme == "udp":  # by RTP ffmpeg looks at the first datagrams and then begins anew, without them
        assert said == ""
    assert complaints(target) == ""
    assert len(packets(target)) >= 25
