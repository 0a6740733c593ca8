"""mcast-lab: run a CORE scenario in network namespaces, and play with its links while it runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mcast import __version__
from mcast.errors import ConfigError, McastError
from tools.lab.commands import HELP
from tools.lab.console import log_directory, run_console
from tools.lab.control import ask
from tools.lab.lab import Lab
from tools.lab.nodes import command_in, environment_in, node_directory
from tools.lab.overview import overview
from tools.lab.plan import load_plan
from tools.lab.rundir import clean_dead_labs, find_lab
from tools.lab.scenario import load_scenario

REMOTE = ("kill", "cut", "heal", "shape", "capture", "links", "nodes")


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        return int(options.action(options) or 0)
    except McastError as error:
        print(f"mcast-lab: error: {error}", file=sys.stderr)
        return error.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mcast-lab",
        description=__doc__,
        epilog=f"commands of a running lab, at its prompt or as arguments in another terminal:\n\n{HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mcast-lab {__version__}")
    actions = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(actions.add_parser("run", help="build a scenario and take commands", allow_abbrev=False))
    check = actions.add_parser("check", help="read a scenario and print what it holds (needs no root)")
    check.add_argument("topology", metavar="NAME|FILE")
    check.set_defaults(action=_check)
    clean = actions.add_parser("clean", help="take down what labs that were killed left behind")
    clean.set_defaults(action=_clean)
    execute = actions.add_parser("exec", help="run a command in a node of a running lab", allow_abbrev=False)
    execute.add_argument("--lab", metavar="ID", help="which, when several run")
    execute.add_argument("node")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    execute.set_defaults(action=_exec)
    for name in REMOTE:
        remote = actions.add_parser(name, help="see below", allow_abbrev=False)
        remote.add_argument("--lab", metavar="ID", help="which, when several run")
        remote.add_argument("words", nargs="*")
        remote.set_defaults(action=_remote, name=name)
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--topology", metavar="NAME|FILE", required=True, help="big_chungus, simple_1 or a file")
    run.add_argument("--plan", metavar="FILE", type=Path, help="programs to start (TOML, see docs/lab.md)")
    run.add_argument("--directory", metavar="DIR", type=Path, help="keep the nodes' files here")
    run.add_argument(
        "--carrier", choices=("auto", "netem", "tap"), default="auto", help="what delays packets"
    )
    run.add_argument("--seed", type=int, default=0, help="of the random losses of emulated links")
    run.set_defaults(action=_run)


def _run(options: argparse.Namespace) -> None:
    scenario = load_scenario(options.topology)
    plan = load_plan(options.plan, scenario) if options.plan else []
    directory = log_directory(options.directory)
    run_console(Lab(scenario, directory=directory, carrier=options.carrier, seed=options.seed), plan)


def _check(options: argparse.Namespace) -> None:
    print(overview(load_scenario(options.topology)))


def _clean(_: argparse.Namespace) -> None:
    for lab in clean_dead_labs():
        print(f"lab {lab}: taken down")


def _exec(options: argparse.Namespace) -> None:
    """Become the command: it has this terminal, and its exit status is the user's."""
    if not options.command:
        raise ConfigError("exec: which command? For example: mcast-lab exec n1 ip route")
    state = find_lab(options.lab)
    argv = command_in(state, options.node, options.command)
    os.chdir(node_directory(state, options.node))
    os.execve(argv[0], argv, environment_in(state, options.node))


def _remote(options: argparse.Namespace) -> None:
    words = list(options.words)
    if options.name == "capture" and len(words) == 2:
        words[1] = str(Path(words[1]).absolute())  # the lab's working directory is another
    print(ask(find_lab(options.lab), [options.name, *words]))


if __name__ == "__main__":
    sys.exit(main())
