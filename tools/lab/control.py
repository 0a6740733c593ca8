"""How another terminal talks to a running lab: one request per connection on a Unix socket.

The request is a JSON list of words, the answer `{"text": ...}` or `{"error": ...}`; each ends with the
sender's end of stream. Only root can reach the socket: it lies in the lab's directory (mode 0700).
"""

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Self

from mcast.errors import ConfigError
from tools.lab.commands import Commands
from tools.lab.rundir import RUN_DIRECTORY, LabState

REQUEST_TIMEOUT = 10.0  # s; a request is sent in one piece
ANSWER_TIMEOUT = 60.0  # s; `links` takes one second, and waits for other commands
REQUEST_BYTES = 65536


class ControlServer:
    """Owns the socket and the one thread that answers on it."""

    def __init__(self, path: Path, commands: Commands) -> None:
        self._commands, self._stopping = commands, threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run, name="lab-control")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._socket.shutdown(socket.SHUT_RD)  # wakes accept(); close() would not
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                continue  # woken to stop
            with connection, contextlib.suppress(OSError):  # an asker that leaves early
                connection.settimeout(REQUEST_TIMEOUT)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            words = [str(word) for word in json.loads(_receive(connection))]
            answer = {"text": self._commands.perform(words)}
        except (ConfigError, RuntimeError, ValueError, TypeError) as error:
            answer = {"error": str(error)}
        connection.sendall(json.dumps(answer).encode())


def ask(state: LabState, words: list[str]) -> str:
    """Let a running lab perform a command. Raises ConfigError."""
    path = RUN_DIRECTORY / state.lab / "control"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(words).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = json.loads(_receive(connection))
        except FileNotFoundError:
            raise ConfigError(f"lab {state.lab} takes no commands: it is a program's own") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"lab {state.lab} gives no answer: {error}") from None
    if "error" in answer:
        raise ConfigError(answer["error"])
    return str(answer["text"])


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while chunk := connection.recv(REQUEST_BYTES):
        data += chunk
    return data
