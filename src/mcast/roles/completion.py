"""`--print-completion bash|zsh|fish`: a script that lets a shell complete a program's options.

It is made from the options themselves, so it always fits. What is completed: the options' names, those values
of which there are few, and files.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

SHELLS = ("bash", "zsh", "fish")
_FILES = {"FILE", "DIR", "WHERE"}


Parsers: TypeAlias = Sequence[argparse.ArgumentParser]
"""A program's, then those of what it does when its first word asks for that: `mcast-bootstrap top`."""


def print_completion(parsers: Callable[[], Parsers]) -> type[argparse.Action]:
    """Return what an option does that prints the script for a shell, and ends the program."""

    class PrintCompletion(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: object,
            option_string: str | None = None,
        ) -> None:
            """Print it, whatever other options are missing."""
            del namespace, option_string
            sys.stdout.write(completion(parsers(), str(values)))
            parser.exit()

    return PrintCompletion


def completion(parsers: Parsers, shell: str) -> str:
    """Return the script for one of SHELLS."""
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    program, *others = map(_program, parsers)
    return "\n".join([*make(program, others), ""])


@dataclass(frozen=True, slots=True)
class _Program:
    name: str
    help: str
    options: tuple["_Option", ...]

    @property
    def command(self) -> str:
        return self.name.split()[0]

    @property
    def word(self) -> str:
        """Return what it is asked for by; empty for the program itself."""
        return self.name.partition(" ")[2]

    @property
    def function(self) -> str:
        return "_" + self.name.replace("-", "_").replace(" ", "_")

    @property
    def names(self) -> str:
        return " ".join(option.name for option in self.options)


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    help: str
    takes_value: bool
    metavar: str
    choices: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        return self.metavar in _FILES


def _program(parser: argparse.ArgumentParser) -> _Program:
    return _Program(parser.prog, parser.description or "", tuple(_options(parser)))


def _options(parser: argparse.ArgumentParser) -> Iterator[_Option]:
    for action in parser._actions:
        told = "" if action.help is None else action.help % {"default": action.default, "prog": parser.prog}
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        choices = tuple(map(str, action.choices or ()))
        for name in action.option_strings:
            if name.startswith("--"):
                yield _Option(name, told, action.nargs != 0, metavar, choices)


def _bash(program: _Program, others: Sequence[_Program]) -> Iterator[str]:
    yield f"# source <({program.name} --print-completion bash)"
    for other in others:
        yield from _bash_function(other, ())
    yield from _bash_function(program, others)
    yield f"complete -o default -F {program.function} {program.name}"


def _bash_function(program: _Program, others: Sequence[_Program]) -> Iterator[str]:
    yield f"{program.function}() {{"
    yield f'    local words="{program.names}"'
    yield "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
    yield "    COMPREPLY=()"
    for other in others:
        yield f'    if [ "$COMP_CWORD" = 1 ]; then words="{other.word} $words"'
        yield f'    elif [ "${{COMP_WORDS[1]}}" = {other.word} ]; then {other.function}; return; fi'
    yield from _bash_values(program.options)
    yield '    COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"


def _bash_values(options: Sequence[_Option]) -> Iterator[str]:
    yield '    case "$before" in'
    for option in options:
        if option.choices:
            choices = " ".join(option.choices)
            yield f'    {option.name}) COMPREPLY=($(compgen -W "{choices}" -- "$word")); return ;;'
    files = "|".join(option.name for option in options if option.is_file)
    if files:
        yield f"    {files}) return ;;  # files, by -o default"
    free = "|".join(
        each.name for each in options if each.takes_value and not each.is_file and not each.choices
    )
    if free:
        yield f"    {free}) compopt +o default; return ;;"
    yield "    esac"


def _zsh(program: _Program, others: Sequence[_Program]) -> Iterator[str]:
    function = program.function
    yield f"#compdef {program.name}"
    yield f"# source <({program.name} --print-completion zsh)"
    for other in others:
        yield from _zsh_function(other, ())
    yield from _zsh_function(program, others)
    yield f'if [ "$funcstack[1]" = "{function}" ]; then {function} "$@"'
    yield f"else compdef {function} {program.name}; fi"


def _zsh_function(program: _Program, others: Sequence[_Program]) -> Iterator[str]:
    yield f"{program.function}() {{"
    for other in others:
        yield f'    if [ "$CURRENT" -gt 2 ] && [ "$words[2]" = {other.word} ]; then'
        yield f"        shift words; (( CURRENT-- )); {other.function}; return"
        yield "    fi"
    yield "    _arguments \\"
    if others:
        yield f"        '1: :({' '.join(other.word for other in others)})' \\"
    for option in program.options:
        told = re.sub(r"([\[\]:\\])", r"\\\1", option.help).replace("'", "'\\''")
        yield f"        '*{option.name}[{told}]{_zsh_value(option)}' \\"
    yield "        && return 0"
    yield "}"


def _zsh_value(option: _Option) -> str:
    if not option.takes_value:
        return ""
    what = f"({' '.join(option.choices)})" if option.choices else "_files" if option.is_file else ""
    metavar = option.metavar.replace(":", "\\:")
    return f":{metavar}:{what}"


def _fish(program: _Program, others: Sequence[_Program]) -> Iterator[str]:
    command, words = program.command, " ".join(other.word for other in others)
    yield f"# {command} --print-completion fish | source"
    yield f"complete -c {command} -f"
    for other in others:
        yield f"complete -c {command} -n __fish_use_subcommand -a {other.word} -d {_fish_text(other.help)}"
    alone = f" -n 'not __fish_seen_subcommand_from {words}'" if others else ""
    yield from _fish_options(program, alone)
    for other in others:
        yield from _fish_options(other, f" -n '__fish_seen_subcommand_from {other.word}'")


def _fish_options(program: _Program, condition: str) -> Iterator[str]:
    for option in program.options:
        value = ""
        if option.takes_value:
            value = " -r -F" if option.is_file else " -x"
        if option.choices:
            value += f" -a '{' '.join(option.choices)}'"
        told = _fish_text(option.help)
        yield f"complete -c {program.command}{condition} -l {option.name[2:]}{value} -d {told}"


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
