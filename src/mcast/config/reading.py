"""Configuration files: TOML, or JSON with the same keys if the name ends with `.json`."""

import json
import tomllib
from pathlib import Path

from mcast.errors import ConfigError

MAX_BYTES = 16 * 1024 * 1024
"""Ten thousand nodes take 1 MB, so a larger file is no configuration."""
_BEYOND = 1 << 63
"""TOML's integers have 64 bits; Python reads hexadecimal ones of any length, and cannot print them."""


def read_config(path: Path) -> dict[str, object]:
    """Return what a file holds. Raises ConfigError, which names the file and, if it is known, the line."""
    text = _read_text(path)
    try:
        data = _parse_json(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}, the last one"
        raise ConfigError(
            f"{path}: no valid TOML: {str(error).replace('at end of document', last)}"
        ) from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}: no valid JSON: {error.msg} (at line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the file holds a {type(data).__name__}, expected an object {{...}}")
    _check_values(path, "", data)
    return data


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; give an existing one with --config FILE") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: more than {MAX_BYTES} bytes are no configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: not UTF-8 (at line {line})") from None


def _check_values(path: Path, where: str, value: object) -> None:
    """Refuse texts that no file, process or packet takes (those with a NUL, or with half of a character),
    and integers beyond 64 bits.
    """
    match value:
        case str():
            if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
                place = f"{where}: " if where else ""
                raise ConfigError(f"{path}: {place}{value!r} holds what is no character of a text")
        case int() if not -_BEYOND <= value < _BEYOND:
            raise ConfigError(f"{path}: {where}: a number of more than 64 bits")
        case dict():
            for key, each in value.items():
                _check_values(path, where, key)
                _check_values(path, f"{where}.{key}" if where else key, each)
        case list():
            for each in value:
                _check_values(path, where, each)


def _parse_json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # JSON would silently keep the last one; TOML refuses a key that is there twice, and so do we.
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return table


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
