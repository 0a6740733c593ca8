"""The commands of a running lab: words in, text out. Typed at its prompt or sent by another terminal."""

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcast.errors import ConfigError
from tools.lab.lab import Lab
from tools.lab.options import parse_changes
from tools.lab.overview import nodes_table, rates_table

HELP = """\
exec NODE COMMAND...        run a command in a node (`exec n1 bash` for a shell)
kill NODE                   SIGKILL everything in a node
cut LINK / heal LINK        let packets vanish silently, and pass again; LINK is A-B or B-A
shape LINK [towards=NODE] OPTION...   both ways, or only towards one end; options:
                            delay=20ms jitter=2ms rate=2mbit loss=1% burst=4 dup=1% buffer=50
                            reorder=yes reset=yes (docs/lab.md says what each means)
capture NODE [FILE]         write the node's packets to a pcap file (default NODE.pcap in its directory)
links                       options of all links, and rates over one second
nodes                       addresses and services of all nodes
help, quit"""

RATE_INTERVAL = 1.0  # s
CAPTURE_TIMEOUT = 5.0  # s for a capture to end


class Commands:
    """Carries out one command at a time; may be called from several threads."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._lock = lab, threading.Lock()
        self._captures: list[subprocess.Popen[Any]] = []

    def perform(self, words: Sequence[str]) -> str:
        """Raises ConfigError for whatever the user got wrong."""
        with self._lock:
            match list(words):
                case ["kill", node]:
                    return f"{node}: {self._lab.kill(node)} processes killed"
                case ["cut" | "heal" as verb, link]:
                    return self._cut_or_heal(verb, link)
                case ["shape", link, *options]:
                    return self._shape(link, options)
                case ["capture", node]:
                    return self._capture(node, self._lab.node_directory(node) / f"{node}.pcap")
                case ["capture", node, file]:
                    return self._capture(node, Path(file))
                case ["links"]:
                    return self._links()
                case ["nodes"]:
                    return nodes_table(self._lab.scenario)
                case ["help"]:
                    return HELP
            raise ConfigError(f"{shlex.join(words)!r} is not a command; try: help")

    def close(self) -> None:
        """End the captures gently, so that their files are whole."""
        for capture in self._captures:
            capture.send_signal(signal.SIGINT)
        for capture in self._captures:
            try:
                capture.wait(CAPTURE_TIMEOUT)
            except subprocess.TimeoutExpired:
                capture.kill()

    def _cut_or_heal(self, verb: str, link: str) -> str:
        (self._lab.cut if verb == "cut" else self._lab.heal)(link)
        return f"{self._lab.scenario.link(link).name}: {'cut' if verb == 'cut' else 'healed'}"

    def _shape(self, link: str, options: list[str]) -> str:
        towards = next(
            (word.removeprefix("towards=") for word in options if word.startswith("towards=")), None
        )
        changes = parse_changes([word for word in options if not word.startswith("towards=")])
        self._lab.shape(link, towards=towards, **changes)
        found = self._lab.scenario.link(link)
        first, second = found.first.node, found.second.node
        forward, backward = self._lab.options(link)
        return f"{first} > {second}: {forward}\n{second} > {first}: {backward}"

    def _capture(self, node: str, path: Path) -> str:
        self._captures.append(self._lab.capture(node, path))
        return f"{node}: capturing to {path.absolute()} until the lab ends (or: kill {node})"

    def _links(self) -> str:
        before = self._lab.counters()
        time.sleep(RATE_INTERVAL)
        after = self._lab.counters()
        options = {
            link.name: (*self._lab.options(link.name), self._lab.is_cut(link.name))
            for link in self._lab.scenario.links
        }
        return rates_table(options, {flow: traffic.since(before[flow]) for flow, traffic in after.items()})
