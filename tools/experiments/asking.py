"""Make the rendezvous point choose a server, again and again, until it chooses as expected."""

import time
from collections.abc import Callable

from tools.demo.processes import ProgramError
from tools.experiments.choices import Choice, read_choices
from tools.experiments.deployment import JOIN_TIMEOUT, DeployedScenario

WATCHING = 0.3
"""Seconds that the asking client watches each time."""


class Asker:
    """A client that asks for a content for a moment; nobody else may watch it meanwhile."""

    def __init__(self, deployed: DeployedScenario, client: str, content: str, patience: float) -> None:
        """`patience`: seconds that `until` waits at most."""
        self._deployed, self._client, self._content, self._patience = deployed, client, content, patience
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
        rendezvous = self._deployed.program(self._deployed.rendezvous)
        before = len(rendezvous.events)
        viewer = self._deployed.watch(
            self._client, self._content, "--duration", str(WATCHING), name=f"asking-{len(self.choices)}"
        )
        viewer.wait_joined()
        # The choice was written before this line; without it, what the client says may be read sooner.
        rendezvous.wait_for_event("serves", after=before, content=self._content)
        (choice, *_) = read_choices(rendezvous.events.read()[before:], self._content)
        self.choices.append((time.monotonic(), choice))
        viewer.program.wait(JOIN_TIMEOUT)
        rendezvous.wait_for_event("pruned", after=before, content=self._content)
        return choice
