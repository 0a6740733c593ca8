"""`python -m tools.resilience NAME...`: 0 if all rows pass, 1 if not, 2 if they cannot run here."""

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mcast import __version__
from tools.demo.processes import ProgramError
from tools.demo.tools import ensure_ffmpeg
from tools.experiments.report import markdown_table
from tools.interrupting import run_command
from tools.lab.overview import table
from tools.resilience import cases, churn, hops, idle, simulated
from tools.resilience.findings import HEAD, Row
from tools.resilience.running import run_case
from tools.resilience.setting import Setting, machine

ROWS: Mapping[str, tuple[str, Callable[[Setting], Row]]] = {
    **{case.name: (case.title, partial(run_case, case)) for case in (*cases.CASES, *idle.CASES, *hops.CASES)},
    churn.NAME: (churn.TITLE, churn.run),
    simulated.NAME: (simulated.TITLE, simulated.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run rows; return the exit status."""
    options = _parser().parse_args(argv)
    if options.list:
        print(_listed())
        return 0
    return run_command("resilience", lambda: _run_all(options))


def _listed() -> str:
    return "\n".join(f"  {name:<20}{title}" for name, (title, _) in ROWS.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.resilience",
        description="Whatever fails, no viewer misses a packet. Some rows need root: they run in the lab.\n\n"
        + _listed(),
        epilog="example:\n  make resilience ARGS=\"relay-killed --runs 20\"",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="which rows (default: all)", choices=[*ROWS, []])
    add("--list", action="store_true", help="list the rows")
    add("--runs", type=_count, metavar="N", help="how often each (default: as the row says)")
    add("--seconds", type=float, metavar="S", help="how long the long rows take (default: as the row says)")
    add("--seed", type=_count, metavar="N", help="what is chosen at random (default: drawn, and told)")
    add("--debug", action="store_true", help="let all programs log each decision, to find faults")
    add("--directory", type=Path, default=Path("build/resilience/run"), metavar="DIR",
        help="where logs and results go (default: %(default)s)")  # fmt: skip
    add("--version", action="version", version=f"mcast's resilience {__version__}")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


def _run_all(options: argparse.Namespace) -> int:
    ensure_ffmpeg()
    seed = options.seed or random.SystemRandom().randrange(1, 1_000_000)
    directory = options.directory.absolute()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    setting = Setting(directory, seed, options.runs, options.seconds, time.monotonic(), options.debug)
    print(f"seed {seed}; {machine()}", flush=True)
    rows = [_run(name, setting) for name in options.names or ROWS]
    _tell(rows, setting)
    return 0 if all(row.passed for row in rows) else 1


def _run(name: str, setting: Setting) -> Row:
    title, run = ROWS[name]
    setting.say(f"=== {name}: {title}")
    try:
        row = run(setting)
    except ProgramError as error:
        row = Row(name, title, "", "did not run", passed=False, problems=[str(error)])
    setting.say(f"{name}: {'passed' if row.passed else 'FAILED'}: {row.measured}")
    for problem in row.problems:
        setting.say(f"{name}: {problem}")
    return row


def _tell(rows: Sequence[Row], setting: Setting) -> None:
    about = machine()
    result = {
        "version": __version__, "seed": setting.seed, "machine": about, "when": time.strftime("%F %T"),
        "rows": [row.as_dict() for row in rows],
    }  # fmt: skip
    (setting.directory / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    shown = [row.cells for row in rows]
    text = f"# Resilience\n\nseed {setting.seed}; {about}\n\n{markdown_table(HEAD, shown)}\n"
    (setting.directory / "report.md").write_text(text)
    passed = sum(row.passed for row in rows)
    print(f"\n{table(HEAD, shown)}\n\n{about}")
    print(f"resilience: {passed}/{len(rows)} rows passed, seed {setting.seed}: {setting.directory}")
