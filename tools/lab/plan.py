"""Which programs `mcast-lab run --plan FILE` starts: a TOML file, read whole and checked whole.

[[program]]
node = "rp"                    # in which node
command = ["mcast-node", "--bootstrap", "10.0.8.10:4000"]
log = "node.log"               # its output, in the node's directory; default: COMMAND.log
delay = 0.5                    # seconds after the program before it (default 0)
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcast.errors import ConfigError
from tools.lab.topology import Scenario

MAX_DELAY = 3600.0  # s


@dataclass(frozen=True, slots=True)
class PlannedProgram:
    node: str
    command: tuple[str, ...]
    log: str
    delay: float


def load_plan(path: Path, scenario: Scenario) -> list[PlannedProgram]:
    """Read a plan for a scenario. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
        return _read_plan(content, scenario)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # TOML or UTF-8
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_plan(content: dict[str, Any], scenario: Scenario) -> list[PlannedProgram]:
    programs = content.get("program", [])
    if set(content) - {"program"} or not isinstance(programs, list):
        raise ConfigError(f"expected [[program]] tables only, found {', '.join(sorted(content))}")
    return [_read_program(table, f"program {number}", scenario) for number, table in enumerate(programs, 1)]


def _read_program(table: Any, where: str, scenario: Scenario) -> PlannedProgram:
    known = {"node", "command", "log", "delay"}
    if not isinstance(table, dict) or set(table) - known:
        raise ConfigError(f"{where}: expected the keys {', '.join(sorted(known))}")
    command = table.get("command")
    if not (isinstance(command, list) and command and all(isinstance(word, str) for word in command)):
        raise ConfigError(f'{where}: command must be a list of words such as ["mcast-node", "--help"]')
    log, delay = table.get("log", f"{Path(command[0]).name}.log"), table.get("delay", 0)
    if not isinstance(log, str) or Path(log).name != log:
        raise ConfigError(f"{where}: log must be a file name without directories")
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= MAX_DELAY:
        raise ConfigError(f"{where}: delay must be 0 to {MAX_DELAY:.0f} seconds")
    try:
        return PlannedProgram(scenario.device(table.get("node", "")).name, tuple(command), log, float(delay))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
