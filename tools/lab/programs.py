"""mcast's programs in the nodes of a lab, as `tools.demo.processes` has them on the host."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from tools.demo.event_log import EventLog
from tools.demo.processes import ProgramProcess
from tools.lab.lab import Lab


class NodeProcess(ProgramProcess):
    """A program in a node of the lab, and its log in the node's directory."""

    def __init__(
        self,
        lab: Lab,
        node: str,
        name: str,
        command: Sequence[str],
        *,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. `stdout` is a descriptor (default: the log, too), `environment` the lab's own if None."""
        self.name, self.command = name, list(command)
        self.log = lab.node_directory(node) / f"{name}.log"
        with self.log.open("ab") as log:
            self.events = EventLog(self.log, self.log.stat().st_size)  # as in ProgramProcess
            self.process = lab.popen(
                node,
                command,
                stdout=log if stdout is None else stdout,
                stderr=log if stdout is not None else subprocess.STDOUT,
                env={**(os.environ if environment is None else environment)},
            )
        self.started = time.monotonic()
