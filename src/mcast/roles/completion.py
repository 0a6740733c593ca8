"""`--print-completion bash|zsh|fish`: a script that lets a shell complete a program's options.

It is made from the options themselves, so it always fits. What is completed: the options' names, those values
of which there are few, and files.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHELLS = ("bash", "zsh", "fish")
_FILES = {"FILE", "DIR", "WHERE"}


class PrintCompletion(argparse.Action):
    """Prints the script for a shell, and ends the program."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Print it, whatever other options are missing."""
        del namespace, option_string
        sys.stdout.write(completion(parser, str(values)))
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for one of SHELLS."""
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return "\n".join([*make(parser.prog, tuple(_options(parser))), ""])


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


def _options(parser: argparse.ArgumentParser) -> Iterator[_Option]:
    for action in parser._actions:
        told = "" if action.help is None else action.help % {"default": action.default, "prog": parser.prog}
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        choices = tuple(map(str, action.choices or ()))
        for name in action.option_strings:
            if name.startswith("--"):
                yield _Option(name, told, action.nargs != 0, metavar, choices)


def _bash(program: str, options: Sequence[_Option]) -> Iterator[str]:
    function = _function(program)
    yield f"# source <({program} --print-completion bash)"
    yield f"{function}() {{"
    yield "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
    yield "    COMPREPLY=()"
    yield '    case "$before" in'
    for option in options:
        if option.choices:
            words = " ".join(option.choices)
            yield f'    {option.name}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return ;;'
    files = "|".join(option.name for option in options if option.is_file)
    if files:
        yield f"    {files}) return ;;  # files, by -o default"
    others = "|".join(
        each.name for each in options if each.takes_value and not each.is_file and not each.choices
    )
    if others:
        yield f"    {others}) compopt +o default; return ;;"
    yield "    esac"
    names = " ".join(option.name for option in options)
    yield f'    COMPREPLY=($(compgen -W "{names}" -- "$word"))'
    yield "}"
    yield f"complete -o default -F {function} {program}"


def _zsh(program: str, options: Sequence[_Option]) -> Iterator[str]:
    function = _function(program)
    yield f"#compdef {program}"
    yield f"# source <({program} --print-completion zsh)"
    yield f"{function}() {{"
    yield "    _arguments \\"
    for option in options:
        told = re.sub(r"([\[\]:\\])", r"\\\1", option.help).replace("'", "'\\''")
        yield f"        '*{option.name}[{told}]{_zsh_value(option)}' \\"
    yield "        && return 0"
    yield "}"
    yield f'if [ "$funcstack[1]" = "{function}" ]; then {function} "$@"'
    yield f"else compdef {function} {program}; fi"


def _zsh_value(option: _Option) -> str:
    if not option.takes_value:
        return ""
    what = f"({' '.join(option.choices)})" if option.choices else "_files" if option.is_file else ""
    metavar = option.metavar.replace(":", "\\:")
    return f":{metavar}:{what}"


def _fish(program: str, options: Sequence[_Option]) -> Iterator[str]:
    yield f"# {program} --print-completion fish | source"
    yield f"complete -c {program} -f"
    for option in options:
        told = option.help.replace("\\", "\\\\").replace("'", "\\'")
        value = ""
        if option.takes_value:
            value = " -r -F" if option.is_file else " -x"
        if option.choices:
            value += f" -a '{' '.join(option.choices)}'"
        yield f"complete -c {program} -l {option.name[2:]}{value} -d '{told}'"


def _function(program: str) -> str:
    return "_" + program.replace("-", "_")
