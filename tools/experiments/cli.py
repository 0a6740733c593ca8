"""`python -m tools.experiments NAME...`: 0 if all checks pass, 1 if not, 2 if it cannot run here."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mcast import __version__
from tools.demo.processes import ProgramError
from tools.experiments import clients, contents, footage, monitoring, recovery, teardown
from tools.experiments.verdict import Verdict
from tools.interrupting import run_command

EXPERIMENTS: dict[str, tuple[str, Callable[[Path], Verdict]]] = {
    module.NAME: (module.TITLE, module.run) for module in (clients, contents, monitoring, teardown, recovery)
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run experiments; return the exit status."""
    options = _parser().parse_args(argv)
    if options.contents:
        return run_command("experiments", _make_contents)
    return run_command("experiments", lambda: _run_all(options.names or [*EXPERIMENTS], options.directory))


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<12}{title}" for name, (title, _) in EXPERIMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tools.experiments",
        description=f"The experiments of the course report, in the lab (as root):\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which (default: all)", choices=[*EXPERIMENTS, []]
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("build/experiments"), metavar="DIR",
        help="where reports, recordings and logs go (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--contents", action="store_true", help="only make and prepare the servers' contents")
    parser.add_argument("--version", action="version", version=f"mcast's experiments {__version__}")
    return parser


def _make_contents() -> int:
    for name, sent in footage.make_all().items():
        print(f"{name}: {footage.CONTENTS / name}.mp4, prepared in {sent.entry}")
    return 0


def _run_all(names: Sequence[str], directory: Path) -> int:
    failed = [name for name in names if not _run(name, (directory / name).absolute())]
    if len(names) > 1:
        which = f"; failed: {', '.join(failed)}" if failed else ""
        print(f"experiments: {len(names) - len(failed)}/{len(names)} passed{which}")
    return 1 if failed else 0


def _run(name: str, place: Path) -> bool:
    """Run one experiment and tell how it went. Raises ConfigError if it cannot run here at all."""
    title, run = EXPERIMENTS[name]
    print(f"=== {title}", flush=True)
    began = time.monotonic()
    try:
        verdict = run(place)
    except ProgramError as error:
        print(f"{name}: FAILED: {error}\n", flush=True)
        return False
    seconds = time.monotonic() - began
    print(f"{verdict}\n\n{verdict.summary}, {seconds:.0f} s: {place / 'report.md'}\n", flush=True)
    return verdict.passed
