"""What is in a cache, and what of it nobody needs any more.

An entry is used when a server looks it up, opens it and closes it; its description's time says when that
was last. While it is open, its description is locked (shared), so an entry in use is never removed, however
old. What a killed preparation left behind has no lock holder: the kernel let go of it with the process.

Only what is named like a cache's content is ever touched: `--cache` may point at a directory with other
things in it.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DAYS = 30
_DAY = 86_400.0
_NEW_FILE_AGE = 3_600.0  # seconds: small files are written in milliseconds
_KEY = r"[0-9a-f]{32}"
_ENTRY, _LOCK = re.compile(_KEY), re.compile(rf"({_KEY})\.lock")
_LEFTOVER, _NEW = re.compile(rf"({_KEY})\.\d+\.tmp"), re.compile(r"sources\.json\.\d+\.new")


@dataclass(frozen=True, slots=True)
class Entry:
    """One prepared content."""

    key: str
    source: str  # the path of the file that it was made from
    bytes: int
    last_used: float  # Unix time
    in_use: bool


@dataclass(frozen=True, slots=True)
class Freed:
    """What a clean-up has removed."""

    entries: int = 0
    leftovers: int = 0
    bytes: int = 0


def entries(directory: Path) -> list[Entry]:
    """Return what is in a cache, the longest unused first."""
    found = [_entry(path) for path in _named(directory, _ENTRY) if (path / "stream.json").is_file()]
    return sorted((entry for entry in found if entry), key=lambda entry: entry.last_used)


def clean(directory: Path, days: float, now: float | None = None) -> Freed:
    """Remove entries that were not used for so many days and are not in use, and orphans.

    What cannot be removed stays: a cache may be shared with another user.
    """
    limit = (time.time() if now is None else now) - days * _DAY
    freed = [_remove_entry(path, limit) for path in _named(directory, _ENTRY)]
    leftovers = [_remove_leftover(path) for path in _named(directory, _LEFTOVER)]
    leftovers += [_remove_new(path) for path in _named(directory, _NEW)]
    for path in _named(directory, _LOCK):
        _remove_lock(directory, path)
    return Freed(
        sum(size is not None for size in freed),
        sum(size is not None for size in leftovers),
        sum(size or 0 for size in [*freed, *leftovers]),
    )


def describe(directory: Path, found: list[Entry], now: float | None = None) -> str:
    """Write a table for people."""
    total = sum(entry.bytes for entry in found)
    lines = [f"{directory}: {len(found)} contents, {_megabytes(total)}"]
    now = time.time() if now is None else now
    for entry in found:
        age = "in use" if entry.in_use else f"{max(0.0, now - entry.last_used) / _DAY:.0f} days"
        source = "".join(char if char.isprintable() else "?" for char in entry.source)
        lines.append(f"{age:>10}  {_megabytes(entry.bytes):>12}  {entry.key}  {source}")
    return "\n".join(lines) + "\n"


def touch(entry: Path) -> None:
    """Note that an entry is used now. Another user's cache cannot be noted in; that is no error."""
    with contextlib.suppress(OSError):
        os.utime(entry / "stream.json")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _named(directory: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return []


def _entry(path: Path) -> Entry | None:
    description = path / "stream.json"
    try:
        source = (path / "source").read_text(errors="replace") if (path / "source").exists() else "?"
        return Entry(path.name, source, _size(path), description.stat().st_mtime, _is_locked(description))
    except OSError:  # it was removed this moment
        return None


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in [path, *path.rglob("*")] if not file.is_dir())


def _is_locked(path: Path) -> bool:
    with _locked(path) as is_ours:
        return not is_ours


@contextlib.contextmanager
def _locked(path: Path, flags: int = os.O_RDONLY) -> Iterator[bool]:
    """Lock a file if nobody else has; tell whether that was possible."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _remove_entry(path: Path, limit: float) -> int | None:
    """Remove an entry that is too old, return its size; None if it stays."""
    description = path / "stream.json"
    with _locked(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT) as nobody_prepares:
        if not nobody_prepares:
            return None
        if not description.is_file():  # a removal that was interrupted
            return _remove(path)
        with _locked(description) as nobody_plays, contextlib.suppress(OSError):
            if nobody_plays and description.stat().st_mtime <= limit:
                return _remove(path)
    return None


def _remove_leftover(path: Path) -> int | None:
    key = path.name.partition(".")[0]
    with _locked(path.with_name(f"{key}.lock"), os.O_RDWR | os.O_CREAT) as nobody_prepares:
        return _remove(path) if nobody_prepares else None


def _remove_new(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _NEW_FILE_AGE:
            size = path.stat().st_size
            path.unlink()
            return size
    return None


def _remove_lock(directory: Path, path: Path) -> None:
    """Remove a lock without an entry. Who waits for it looks whether it is still there, see `Cache.lock`."""
    with _locked(path, os.O_RDWR) as is_ours, contextlib.suppress(OSError):
        if is_ours and not (directory / path.stem).exists():
            path.unlink()


def _remove(path: Path) -> int | None:
    """Remove a directory: first from sight, by one rename, then its files."""
    with contextlib.suppress(OSError):
        size = _size(path)
        gone = path
        if _ENTRY.fullmatch(path.name):
            gone = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            path.rename(gone)
        shutil.rmtree(gone)
        return size
    return None
