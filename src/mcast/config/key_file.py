"""The file of keys (`--key-file`): what all programs of one overlay, and its viewers, share.

One key a line: at least 32 bytes, written as hex digits, as base64, or as they are. Empty lines and those
that begin with `#` are skipped. Two lines while keys are changed over: a program proves itself by both, and
takes whoever knows one of them. SIGHUP has a program read its file again.
"""

import binascii
import logging
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mcast.errors import ConfigError

logger = logging.getLogger(__name__)

LEAST_KEY = 32  # bytes: as many as HMAC-SHA256 makes use of
MAX_KEYS = 2  # the old one and the new one
MAX_KEY_FILE = 16_384  # bytes: more is some other file

_HEX = re.compile(rb"[0-9A-Fa-f]+")


@dataclass(slots=True, eq=False)
class KeyRing:
    """The keys that this process knows now; none means that it takes whoever comes."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)  # never in a log
    read: Callable[[], tuple[bytes, ...]] | None = field(
        default=None, repr=False
    )  # a file's, if there is one
    origin: str = field(default="", repr=False)  # the option and its file, for people

    def read_again(self) -> None:
        """Take the keys that the file holds now; what has been proven already stays.

        Raises ConfigError if the file cannot be used: the keys stay as they were.
        """
        if self.read is not None:
            self.keys = self.read()

    def __bool__(self) -> bool:
        return bool(self.keys)


NO_KEYS = KeyRing()


def read_key_file(path: Path | None) -> KeyRing:
    """Return the keys of a file, none without a file. Raises ConfigError, which never shows a key.

    That others can read the file is warned of, not refused: containers mount secrets so.
    """
    return NO_KEYS if path is None else ring_of("--key-file", path, _key)


def ring_of(option: str, path: Path, read: Callable[[str, bytes], bytes]) -> KeyRing:
    """Return the keys of the file that an option names, to be read again later. Raises as `read_keys`."""
    read_now = partial(read_keys, option, path, read)
    return KeyRing(read_now(), read_now, f"{option} {path}")


def read_keys(option: str, path: Path, read: Callable[[str, bytes], bytes]) -> tuple[bytes, ...]:
    """Return the one or two keys of the file that an option names. Raises ConfigError.

    `read` makes a key of a line, and is told where the line stands, for its complaints.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE + 1)
            mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_KEY_FILE:
        raise ConfigError(f"{option} {path}: more than {MAX_KEY_FILE} bytes: this is no file of keys")
    if mode & stat.S_IROTH:
        logger.warning("%s can be read by everybody on this machine: chmod 600 %s", path, path)
    keys: list[bytes] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if (text := line.strip()) and not text.startswith(b"#"):
            keys.append(read(f"{option} {path}: line {number}", text))
    if not keys:
        raise ConfigError(f"{option} {path}: no key in it; make one: openssl rand -hex 32 > {path}")
    if len(keys) > MAX_KEYS:
        raise ConfigError(
            f"{option} {path}: {len(keys)} keys, at most {MAX_KEYS} (the old and the new one): remove some"
        )
    return tuple(dict.fromkeys(keys))


def _key(where: str, text: bytes) -> bytes:
    """Read a key: all hex digits are hex, what base64 can be is base64, anything else is taken as it is."""
    key = text
    if _HEX.fullmatch(text):
        key = bytes.fromhex(text.decode()) if len(text) % 2 == 0 else b""
    else:
        try:
            decoded = binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError):
            decoded = b""
        key = decoded if len(decoded) >= LEAST_KEY else text
    if len(key) < LEAST_KEY:
        raise ConfigError(
            f"{where}: a key of {len(key)} bytes, at least {LEAST_KEY} are needed: openssl rand -hex 32"
        )
    return key
