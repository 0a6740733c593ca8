"""The simulation's row: the decision code of thousands of nodes, of which some crash every second."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.demo.processes import ends_with_us, environment_with
from tools.experiments.addresses import CHECKOUT
from tools.resilience.findings import Row
from tools.resilience.setting import Setting

NAME, TITLE = "simulation", "simulation, 2,000 nodes, 1 % of the nodes crash every second"
GOAL = "all fed again, no loop that lasts, one copy, 0 lost"
NODES, SECONDS = 2_000, 10
TIMEOUT = 3_600.0  # seconds: minutes on a machine with nothing else to do


def run(setting: Setting) -> Row:
    """Run it once, from the seed; its own checks make the verdict."""
    seed = setting.seed % 1_000_000
    figures, log = setting.directory / "simulation.json", setting.directory / "simulation.log"
    command = [
        sys.executable, "-m", "bench.healing", "--nodes", str(NODES), "--seconds", str(SECONDS),
        "--crash-percent", "1", "--seed", str(seed), "--json", str(figures),
    ]  # fmt: skip
    with log.open("wb") as file:
        status = subprocess.run(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            env=environment_with({}), preexec_fn=ends_with_us(), timeout=TIMEOUT, check=False,
        ).returncode  # fmt: skip
    return judged(status, _read(figures), seed, log)


def judged(status: int, results: list[dict[str, Any]], seed: int, log: Path) -> Row:
    """Return the row of a run that has ended with a status."""
    found = [each["figures"] for each in results if each["figures"]]
    problems = [f"seed {seed}: {each['problem']}" for each in results if each["problem"]]
    if (status or not found) and not problems:
        problems = [f"seed {seed}: status {status}: {log}"]
    measured = "; ".join(map(_told, found)) or "no figures"
    return Row(NAME, TITLE, GOAL, f"{measured}; seed {seed}", not problems, problems, results)


def _read(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text())) if path.exists() else []


def _told(figures: dict[str, Any]) -> str:
    again = figures["repairing"]
    return (
        f"{figures['repairs']} repairs; fed again after {again['median']:.1f} round trips (median), "
        f"{again['p99']:.1f} (p99); {figures['requests_each']:.0f} messages to ask and "
        f"{figures['news_each']:.0f} to tell for each; {figures['lost']} lost; {figures['loops']} loops"
    )
