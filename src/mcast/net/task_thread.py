"""A thread for what must not delay the thread that comes upon it.

A watcher's callback is to be short, and the end of a stream may take a while (ffmpeg is to end in
order); so it hands that on. Tasks are done one by one in the order they came, so two of them never
send on one connection at the same time, nor in the wrong order.
"""

import queue
from collections.abc import Callable

from mcast.net.threads import OnCrash, OwnedThread

Task = Callable[[], None]


class TaskThread:
    """Owns one thread and the tasks that wait for it."""

    def __init__(self, name: str, on_crash: OnCrash) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread = OwnedThread(name, self._run, on_crash)

    def start(self) -> None:
        """Begin to take tasks; those that were posted before, too."""
        self._thread.start()

    def post(self, task: Task) -> None:
        """Have something done. Never waits."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Do what was posted before, and end."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
