"""Print the table of a content's states as it stands in docs/architecture.md.

    python tools/state_table.py            prints the section
    python tools/state_table.py --write    puts it into the page

The code is the table (src/mcast/overlay/table.py); a test checks that the page holds the same.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from mcast.overlay import table  # noqa: E402 -- from this checkout, installed or not
from mcast.overlay.table import IGNORED, TABLE, Input, State, Transition  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
HEADING = "## States of a content at a node"


def section() -> str:
    """Return the whole section of the page, its heading included."""
    parts = [HEADING, _introduction(), "\n".join(_diagram()), "\n".join(_rows()), _ignored()]
    return "\n\n".join(parts) + "\n"


def section_of(page: str) -> str:
    """Return the section as a page holds it; empty if it does not."""
    _, heading, rest = page.partition(f"{HEADING}\n")
    body, _, _ = rest.partition("\n## ")
    return f"{heading}{body}".rstrip() + "\n" if heading else ""


def replaced(page: str) -> str:
    """Return a page with the section brought up to date. Raises ValueError if it has none."""
    old = section_of(page)
    if not old:
        raise ValueError(f"the page has no section {HEADING!r}")
    return page.replace(old, section())


def _introduction() -> str:
    theory = (table.__doc__ or "").splitlines()
    meanings = [line[4:] for line in theory if line.startswith("    ")]
    told = "This section is printed from `mcast/overlay/table.py` by `tools/state_table.py`."
    return "\n".join([told, "", "```", *meanings, "```"])


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state, next_state, inputs in _edges():
        yield f"    {_node(state)} --> {_node(next_state)}: {', '.join(each.name for each in inputs)}"
    yield "```"


def _edges() -> Iterator[tuple[State, State, list[Input]]]:
    order = list(State)
    for state, cells in TABLE.items():
        moves = [(cell.next, happened) for happened, cell in cells.items() if cell.next is not state]
        moves.sort(key=lambda move: order.index(move[0]))
        for next_state, same in groupby(moves, key=lambda move: move[0]):
            yield state, next_state, [happened for _, happened in same]


def _node(state: State) -> str:
    return "[*]" if state is State.ABSENT else state.name


def _rows() -> Iterator[str]:
    yield "| in | when | next | what is done |"
    yield "|---|---|---|---|"
    for state, cells in TABLE.items():
        for happened, cell in cells.items():
            yield _row(state, happened, cell)


def _row(state: State, happened: Input, cell: Transition) -> str:
    steps = "; ".join(step.value for step in cell.steps) or "nothing"
    next_state = "" if cell.next is state else cell.next.name
    return f"| {state.name} | {happened.name}: {happened.value} | {next_state} | {steps} |"


def _ignored() -> str:
    lines = [
        f"- in {state.name}: {', '.join(each.name for each in Input if each in ignored)}"
        for state, ignored in IGNORED.items()
        if ignored
    ]
    return "\n".join(["What may come and means nothing:", "", *lines, "", "All else cannot come."])


def main(argv: list[str] | None = None) -> int:
    """Print the section, or write it into the page."""
    parser = argparse.ArgumentParser(description="Print the table of a content's states.")
    parser.add_argument("--write", action="store_true", help=f"put it into {PAGE.relative_to(ROOT)}")
    if not parser.parse_args(argv).write:
        print(section(), end="")
        return 0
    PAGE.write_text(replaced(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
