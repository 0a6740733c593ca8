"""Makes the rendezvous point choose a server, again and again, until it chooses as expected."""

import time
from collections.abc import Callable

from tools.demo.processes import ProgramError, wait_until
from tools.experiments.choices import Choice, read_choices
from tools.experiments.stage import JOIN_TIMEOUT, Stage

WATCHING = 0.3
"""Seconds that the asking client watches each time."""


class Asker:
    """A client that asks for a content for a moment; nobody else may watch it meanwhile."""

    def __init__(self, stage: Stage, client: str, content: str, patience: float) -> None:
        """`patience`: seconds that `until` waits at most."""
        self._stage, self._client, self._content, self._patience = stage, client, content, patience
        self.choices: list[tuple[float, Choice]] = []  # monotonic seconds, what was chosen

    def until(self, what: str, satisfied: Callable[[Choice], bool]) -> Choice:
        """Ask until a choice is as expected. Raises ProgramError if `what` does not happen in time."""
        deadline = time.monotonic() + self._patience
        while True:
            choice = self.ask()
            if satisfied(choice):
                return choice
            if time.monotonic() > deadline:
                last = f"the last choice: {choice.rows}"
                raise ProgramError(f"waited {self._patience:g} s until {what}; {last}")

    def ask(self) -> Choice:
        """Ask once, and wait until the stream has gone again."""
        rendezvous, pruned = self._stage.program(self._stage.rendezvous), f"[{self._content}] pruned"
        before = rendezvous.text()
        viewer = self._stage.watch(
            self._client, self._content, "--duration", str(WATCHING), name=f"asking-{len(self.choices)}"
        )
        viewer.wait_joined()
        said = rendezvous.text()
        choice = read_choices(said, self._content)[len(read_choices(before, self._content))]
        self.choices.append((time.monotonic(), choice))
        viewer.program.wait(JOIN_TIMEOUT)
        wait_until(
            lambda: rendezvous.text().count(pruned) > before.count(pruned), f"'pruned' in {rendezvous.log}"
        )
        return choice
