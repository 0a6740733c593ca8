"""Programs inside nodes: what they see is what CORE would show them (`enter` does the rest)."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcast.errors import ConfigError
from tools.lab import enter
from tools.lab.namespaces import namespace_path
from tools.lab.plumbing import Names
from tools.lab.rundir import LabState


def node_directory(state: LabState, node: str) -> Path:
    """Return the working directory of a node, named as in CORE."""
    if node not in state.nodes:
        raise ConfigError(f"{node!r} is not a node (nodes: {', '.join(state.nodes)})")
    return Path(state.directory) / f"{node}.conf"


def make_node_directories(state: LabState) -> None:
    for node in state.nodes:
        for private in (".run", ".log"):  # they become /run and /var/log in the node
            (node_directory(state, node) / private).mkdir(parents=True, exist_ok=True)


def command_in(state: LabState, node: str, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the command that, run on the host, becomes `argv` inside a node."""
    directory = node_directory(state, node)
    namespace = namespace_path(Names(state.lab).node(node))
    launcher = [sys.executable, "-I", "-S", enter.__file__, str(namespace), str(directory), node]
    return [*launcher, *(os.fspath(word) for word in argv)]


def environment_in(
    state: LabState, node: str, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return CORE's four variables together with the given (or the lab's own) environment."""
    return {
        **(os.environ if environment is None else environment),
        "NODE_NAME": node,
        "NODE_NUMBER": str(state.nodes[node]),
        "SESSION": state.lab,
        "SESSION_DIR": state.directory,
    }
