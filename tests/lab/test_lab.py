"""The lab as a library: nodes, programs, labs side by side, and what is left when something fails."""

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.traffic import PORT, exchange, measured
from lab.xml_files import DEVICE, PAIR_LINK, ROUTES, pair_xml, scenario_xml
from mcast.errors import ConfigError
from tools.lab import emulator, rundir
from tools.lab.counters import Flow
from tools.lab.lab import Lab
from tools.lab.namespaces import namespace_path, processes_in
from tools.lab.plumbing import Names
from tools.lab.scenario import load_scenario, parse_scenario
from tools.lab.topology import Scenario

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("nothing_is_left")]

ECHO = [sys.executable, "-S", str(Path(__file__).with_name("echo.py")), "10"]
StartLab = Callable[..., Lab]


def reaches(lab: Lab, node: str, address: str) -> bool:
    return lab.run(node, [*ECHO, address], check=False).returncode == 0


def test_in_big_chungus_everybody_reaches_everybody(start_lab: StartLab) -> None:
    lab = start_lab("big_chungus")
    interfaces = [end for device in lab.scenario.devices for end in lab.scenario.interfaces(device.name)]
    addresses = [str(address.ip) for end in interfaces for address in end.addresses]
    echoes = [
        lab.popen(node, [*ECHO, *addresses], stdout=subprocess.PIPE, text=True)
        for node in ("s1", "boot", "c1", "c4", "n2", "r3")
    ]
    shown = [process.communicate(timeout=60)[0] for process in echoes]
    assert [process.returncode for process in echoes] == [0] * len(echoes), shown


@measured
def test_simple_1_has_the_delays_that_core_shows(start_lab: StartLab) -> None:
    lab = start_lab("simple_1")
    assert reaches(lab, "c1", "10.0.6.11")  # the address lookup crosses the slow link first
    milliseconds = float(lab.run("c1", [*ECHO, "10.0.6.11"]).stdout)
    assert milliseconds == pytest.approx(1006, abs=4)
    assert reaches(lab, "c1", "10.0.6.10")


def test_a_program_sees_what_core_would_show_it(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair)
    script = "pwd; echo $NODE_NAME $NODE_NUMBER $SESSION; hostname; umask; ls /sys/class/net; touch /run/x"
    shown = lab.run("a", ["sh", "-c", script]).stdout.split()
    directory = str(lab.node_directory("a"))
    assert shown == [directory, "a", "1", lab.id, "a", "0000", "eth0", "lo"]
    assert lab.run("a", ["ls", "/run"]).stdout == "x\n"  # one node's programs share it
    assert lab.run("b", ["ls", "/run", "/var/log"]).stdout.split() == ["/run:", "/var/log:"]


def test_a_command_that_does_not_exist_ends_with_127(start_lab: StartLab, pair: Scenario) -> None:
    result = start_lab(pair).run("a", ["no-such-program"], check=False)
    assert result.returncode == 127
    assert result.stderr == "mcast-lab: a: no-such-program: No such file or directory\n"


def test_kill_ends_everything_in_one_node_only(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair)
    victims = [lab.popen("a", ["sh", "-c", "sleep 60 & setsid sleep 60 & wait"]) for _ in range(2)]
    other = lab.popen("b", ["sleep", "60"])
    wait_for(lambda: len(processes_in([namespace_path(Names(lab.id).node("a"))])) >= 6)
    assert lab.kill("a") >= 6
    assert [victim.wait(5) for victim in victims] == [-9, -9]
    assert processes_in([namespace_path(Names(lab.id).node("a"))]) == []
    assert other.poll() is None


def test_programs_and_namespaces_end_with_the_block_also_after_an_exception(pair: Scenario) -> None:
    programs: list[subprocess.Popen[bytes]] = []

    def fail_with_a_program_running(lab: Lab) -> None:
        with lab:
            programs.append(lab.popen("a", ["sleep", "60"]))
            raise ZeroDivisionError

    lab = Lab(pair)
    with pytest.raises(ZeroDivisionError):
        fail_with_a_program_running(lab)
    assert [program.returncode for program in programs] == [-9]
    assert not lab.directory.exists()
    assert not lab.run_directory.exists()


def test_a_given_directory_is_kept(pair: Scenario, tmp_path: Path) -> None:
    with Lab(pair, directory=tmp_path) as lab:
        lab.start("a", ["echo", "hello"], "echo.log").wait(5)
    assert (tmp_path / "a.conf" / "echo.log").read_text() == "hello\n"


def test_labs_side_by_side_do_not_meet(start_lab: StartLab, pair: Scenario) -> None:
    first, second = start_lab(pair), start_lab(pair)
    first.shape("a-b", delay_us=30_000)
    second.cut("a-b")
    flow = Flow("a-b", "a", "b")
    before = second.counters()[flow]
    assert len(exchange(first, 20)) == 20
    assert second.counters()[flow].since(before).delivered_packets == 0
    assert rundir.clean_dead_labs() == []
    assert reaches(first, "a", "10.9.0.2")


@measured
def test_a_switch_joins_and_its_links_can_be_shaped(start_lab: StartLab) -> None:
    with_switch = """<link node1="{0}" node2="9">
      <iface1 id="0" name="eth0" mac="00:00:00:aa:00:0{0}" ip4="10.9.0.{0}" ip4_mask="24"/>
      <iface2 id="{0}"/></link>"""
    for kind in ("SWITCH", "HUB"):
        text = scenario_xml(
            networks=f'<network id="9" name="sw" type="{kind}"/>',
            devices="".join(DEVICE.format(number, name) for number, name in enumerate("abc", 1)),
            links="".join(with_switch.format(number) for number in (1, 2, 3)),
        )
        lab = start_lab(parse_scenario(text, "star", "star.xml"))
        lab.shape("a-sw", towards="sw", delay_us=20_000)
        delays = [arrival.delay_ms for arrival in exchange(lab, 10, interval=0.01)]
        assert len(delays) == 10
        assert min(delays) >= 20
        assert min(arrival.delay_ms for arrival in exchange(lab, 5, sender="b", receiver="c")) < 5
        heard = lab.counters()[Flow("b-sw", "sw", "b")].delivered_bytes
        exchange(lab, 100, size=1000, sender="a", receiver="c")
        heard = lab.counters()[Flow("b-sw", "sw", "b")].delivered_bytes - heard
        assert (heard > 50_000) == (kind == "HUB")  # a switch has learned where c is


def test_a_capture_holds_the_packets_of_a_node(start_lab: StartLab, pair: Scenario, tmp_path: Path) -> None:
    lab, file = start_lab(pair), tmp_path / "a.pcap"
    capture = lab.capture("a", file)
    wait_for(lambda: "capturing" in (lab.node_directory("a") / "capture.log").read_text())
    exchange(lab, 20, size=500)
    wait_for(lambda: len(datagrams(file)) == 20)
    capture.terminate()
    assert capture.wait(5) == 0
    assert [struct.unpack_from("!I", datagram)[0] for datagram in datagrams(file)] == list(range(20))
    assert {len(datagram) for datagram in datagrams(file)} == {500}


def datagrams(file: Path) -> list[bytes]:
    """Read the payloads of the test's datagrams out of a pcap file, whose last record may be half written."""
    data, found, at = file.read_bytes(), [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        packet = data[at + 16 + 20 : at + 16 + length]  # without the cooked header
        if packet[9:10] == b"\x11" and packet[22:24] == PORT.to_bytes(2):
            found.append(packet[28:])
        at += 16 + length
    return found


# --- what cannot be built: one line, status 2, nothing left ---


def test_without_root_the_lab_says_run_it_as_root(pair: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="run it as root"):
        Lab(pair).__enter__()


def test_without_ip_the_lab_names_the_package(
    pair: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^ip: not found, .* install the package iproute2"):
        Lab(pair).__enter__()


def test_without_tun_a_shaped_link_is_refused_and_a_plain_one_is_not(
    start_lab: StartLab, pair: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(emulator, "TUN_DEVICE", str(tmp_path / "tun"))
    lab = start_lab(pair, carrier="tap")
    with pytest.raises(ConfigError, match="tun: not there"):
        lab.shape("a-b", loss=1.0)
    assert not lab.options("a-b")[0].impairs
    assert reaches(lab, "a", "10.9.0.2")
    shaped = parse_scenario(pair_xml('<options loss="1"/>'), "pair", "pair.xml")
    with pytest.raises(ConfigError, match="tun: not there"):
        Lab(shaped, carrier="tap").__enter__()


def test_without_netem_asking_for_it_is_refused(
    start_lab: StartLab, pair: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("ip", "ethtool"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    lab = start_lab(pair, carrier="netem")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^tc: not found: install the package iproute2"):
        lab.shape("a-b", loss=1.0)


def test_netem_is_put_at_both_ends_and_segmentation_offload_taken_away(
    start_lab: StartLab, pair: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a kernel with netem would be asked for, seen by a `tc` that only writes it down."""
    log, tc = tmp_path / "log", tmp_path / "tc"
    tc.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{log}\n')
    tc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    lab = start_lab(pair)
    fabric = Names(lab.id).fabric
    lab.shape("a-b", delay_us=20_000)
    lab.shape("a-b", towards="b", loss=1.0)
    assert lab.carrier == "netem"
    assert [offload(lab, node) for node in "ab"] == ["off", "off"]
    lab.shape("a-b", delay_us=0, loss=0.0)
    assert [offload(lab, node) for node in "ab"] == ["on", "on"]
    assert log.read_text().splitlines() == [
        f"-n {fabric} qdisc {what}"
        for what in (
            "replace dev lo root netem",
            "replace dev l1b root netem limit 1000 delay 20000us 0us",
            "replace dev l1a root netem limit 1000 delay 20000us 0us",
            "replace dev l1b root netem limit 1000 delay 20000us 0us loss 1%",
            "replace dev l1a root netem limit 1000 delay 20000us 0us",
            "del dev l1b root",
            "del dev l1a root",
        )
    ]


def offload(lab: Lab, node: str) -> str:
    shown = lab.run(node, ["ethtool", "-k", "eth0"]).stdout.splitlines()
    return next(line.split()[1] for line in shown if "tx-udp-segmentation" in line)


def test_a_route_that_the_kernel_refuses_names_node_and_line() -> None:
    device = DEVICE.replace("DefaultRoute", "StaticRoute")
    text = scenario_xml(
        devices=device.format(1, "a") + device.format(2, "b"),
        links=PAIR_LINK.format(options=""),
        configurations=ROUTES.format(
            "StaticRoute", "staticroute.sh", "ip route add 10.1.0.0/16 via 10.250.0.1"
        ),
    )
    with pytest.raises(
        ConfigError, match=r"^node a: ip route add 10\.1\.0\.0/16 via 10\.250\.0\.1: "
    ) as caught:
        Lab(parse_scenario(text, "x", "x.xml")).__enter__()
    assert "\n" not in str(caught.value)


def test_a_wrong_link_or_node_lists_the_right_ones(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair)
    with pytest.raises(ConfigError, match="'a-c' is not a link"):
        lab.cut("a-c")
    with pytest.raises(ConfigError, match="'c' is not a node"):
        lab.popen("c", ["true"])
    with pytest.raises(ConfigError, match="'c' is not an end of link a-b"):
        lab.shape("a-b", towards="c", loss=1.0)


def test_a_dead_emulation_process_is_noticed(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair, carrier="tap")
    lab.shape("a-b", delay_us=1000)
    fabric = namespace_path(Names(lab.id).fabric)
    (pid,) = processes_in([fabric])
    os.kill(pid, 9)
    with pytest.raises(RuntimeError, match="the emulation process ended with status -9"):
        wait_for(lambda: not lab.counters())  # which fails as soon as the process is gone


def test_links_without_options_need_no_emulation_process(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair, carrier="tap")
    assert len(exchange(lab, 20)) == 20
    assert processes_in([namespace_path(Names(lab.id).fabric)]) == []


def test_scenarios_in_the_repository_use_only_what_the_lab_has() -> None:
    for name in ("simple_1", "big_chungus"):
        assert load_scenario(name).links


def wait_for(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
