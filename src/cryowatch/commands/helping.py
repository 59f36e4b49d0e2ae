"""How help looks: it names no types of Python, such as `<list[Path]>`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperArgument


class _Argument(TyperArgument):
    """An argument, whose name and help say all there is to say."""

    def display_type_rich(self, ctx: Any) -> str | None:
        del ctx
        return None


def without_types(command: Any) -> None:
    """Let the help of a command and of those below it name no types of flags and arguments."""
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            parameter.__class__ = _Argument
        elif getattr(parameter, "is_flag", False) or getattr(parameter, "count", False):
            parameter.metavar = ""
    help_option = command.get_help_option(typer.Context(command))
    if help_option is not None:
        help_option.metavar = ""
    for below in getattr(command, "commands", {}).values():
        without_types(below)
