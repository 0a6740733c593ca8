"""What a lab leaves on disk while it runs, so that a dead one can be told from a living one and cleaned up.

    /run/mcast-lab/guard            locked while a lab is registered or dead ones are looked for
    /run/mcast-lab/ID/alive         locked by the lab while it lives; the kernel unlocks it, also at kill -9
    /run/mcast-lab/ID/state.json    what others must know of it (`LabState`)
    /run/mcast-lab/ID/control       the socket of `mcast-lab run`

A lock, not a process number: numbers are used again, and differ between PID namespaces. Everything is below
/run, and not below $TMPDIR, so that every lab of a machine is found by every `clean`.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mcast.errors import ConfigError
from tools.lab.iproute import ip_batch
from tools.lab.namespaces import NETNS_DIRECTORY, kill_processes_in, namespace_path
from tools.lab.plumbing import NAMESPACE_PREFIX

RUN_DIRECTORY = Path("/run/mcast-lab")


@dataclass(frozen=True, slots=True)
class LabState:
    """A running lab, as other processes see it."""

    lab: str
    pid: int
    scenario: str
    directory: str  # holds NODE.conf, the working directory of each node
    temporary: bool  # whether the directory goes when the lab does
    nodes: dict[str, int]  # name: number


class Registration:
    """A lab's place below RUN_DIRECTORY, and its proof of being alive."""

    def __init__(self) -> None:
        with _guard():
            self.lab = _new_id()
            self.path = RUN_DIRECTORY / self.lab
            self.path.mkdir(mode=0o700)
            self._alive = (self.path / "alive").open("wb")
            fcntl.flock(self._alive, fcntl.LOCK_EX)

    def write(self, state: LabState) -> None:
        (self.path / "state.json").write_text(json.dumps(asdict(state)))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._alive.close()


def living_labs() -> list[LabState]:
    with _guard():
        states = [_read_state(path) for path in _lab_paths() if not _is_dead(path)]
    return [state for state in states if state]


def find_lab(lab: str | None) -> LabState:
    """Return the lab of this id, or the only one that runs. Raises ConfigError."""
    states = {state.lab: state for state in living_labs()}
    if lab is not None and lab in states:
        return states[lab]
    shown = ", ".join(f"{state.lab} ({state.scenario})" for state in states.values())
    if lab is not None:
        raise ConfigError(f"no lab {lab!r} runs (labs: {shown or 'none'})")
    if not states:
        raise ConfigError("no lab runs: start one with mcast-lab run --topology NAME")
    if len(states) > 1:
        raise ConfigError(f"several labs run: choose one with --lab ID ({shown})")
    return next(iter(states.values()))


def clean_dead_labs() -> list[str]:
    """Take down what dead labs left behind, never touching a living one; return their ids."""
    with _guard():
        dead = _dead_labs()
        for lab in dead:
            _take_down(lab)
    return dead


def dead_labs() -> list[str]:
    """Return the ids of labs that died and left something behind."""
    with _guard():
        return _dead_labs()


def delete_namespaces(names: list[str]) -> None:
    """End all processes in the namespaces, and delete the namespaces."""
    there = [name for name in names if namespace_path(name).exists()]
    kill_processes_in(namespace_path(name) for name in there)
    if there:
        ip_batch(f"netns delete {name}" for name in there)


def _take_down(lab: str) -> None:
    path = RUN_DIRECTORY / lab
    delete_namespaces([name for name in _namespaces() if _lab_of(name) == lab])
    if (state := _read_state(path)) and state.temporary:
        shutil.rmtree(state.directory, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _guard() -> Iterator[None]:
    try:
        RUN_DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
        guard: IO[bytes] = (RUN_DIRECTORY / "guard").open("wb")
    except OSError as error:
        raise ConfigError(f"{RUN_DIRECTORY}: {error.strerror}: run mcast-lab as root (sudo)") from None
    with guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _dead_labs() -> list[str]:
    paths = _lab_paths()
    dead = {path.name for path in paths if _is_dead(path)}
    orphans = {_lab_of(name) for name in _namespaces()} - {path.name for path in paths}
    return sorted(dead | orphans)  # orphans: somebody has emptied RUN_DIRECTORY


def _is_dead(path: Path) -> bool:
    try:
        with (path / "alive").open("rb") as alive:
            fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass  # it died between creating its directory and locking it, or while removing it
    return True


def _read_state(path: Path) -> LabState | None:
    try:
        return LabState(**json.loads((path / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None  # it is being built, or was killed while it was


def _lab_paths() -> list[Path]:
    return [path for path in RUN_DIRECTORY.iterdir() if path.is_dir()]


def _namespaces() -> list[str]:
    if not NETNS_DIRECTORY.is_dir():
        return []
    return [path.name for path in NETNS_DIRECTORY.iterdir() if path.name.startswith(NAMESPACE_PREFIX)]


def _lab_of(namespace: str) -> str:
    return namespace.removeprefix(NAMESPACE_PREFIX).partition("-")[0]


def _new_id() -> str:
    while (RUN_DIRECTORY / (lab := secrets.token_hex(2))).exists():
        pass
    return lab


def make_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="mcast-lab-", dir=os.environ.get("TMPDIR")))
