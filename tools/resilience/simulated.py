"""The simulation's row: the decision code of thousands of nodes, of which some crash each second."""

import re
import subprocess
import sys

from tools.demo.processes import ends_with_us, environment_with
from tools.experiments.addresses import CHECKOUT
from tools.resilience.findings import Row
from tools.resilience.setting import Setting

NAME, TITLE = "simulation", "simulation, 2,000 nodes, 1 % of the nodes crash each second"
NODES = 2_000
TIMEOUT = 1_200.0  # seconds
_FIGURES = re.compile(r"^\d+ repairs, .*", re.MULTILINE)


def run(setting: Setting) -> Row:
    """Run it once, from the seed; its own checks (no loop, one copy, all fed again) make the verdict."""
    command = [
        sys.executable, "-m", "overlay.simulation", "resilience",
        "--nodes", str(NODES), "--seed", str(setting.seed % 1_000_000),
    ]  # fmt: skip
    log = setting.directory / "simulation.log"
    environment = environment_with({})
    environment["PYTHONPATH"] += f":{CHECKOUT / 'tests'}"
    with log.open("wb") as file:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
            preexec_fn=ends_with_us(), timeout=TIMEOUT, check=False,
        ).returncode  # fmt: skip
    said = _FIGURES.search(log.read_text(errors="replace"))
    problems = [] if status == 0 and said else [f"status {status}: {log}"]
    measured = said[0] if said else "no figures"
    return Row(NAME, TITLE, "all fed again, no loop, one copy", measured, not problems, problems)
