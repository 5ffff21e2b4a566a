"""Messages on the standard error stream."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

P = ParamSpec("P")


def print_error(message: str) -> None:
    from rich.console import Console

    # Wrapped lines would break what is copied from them; markup would hide parts of a setting in square brackets.
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End a command with a message and exit code 1 where an operator can fix the cause; a bug keeps its traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:
            raise
        except _get_reported_errors() as error:
            print_error(str(error))
            raise typer.Exit(1) from None

    return run


def _get_reported_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors whose text tells an operator what to do. Their modules are imported only now."""
    from tiktok_accounts_gql.db.migrate import NotMigrated
    from tiktok_accounts_gql.errors import AppError
    from tiktok_accounts_gql.settings import SettingsInvalid

    return SettingsInvalid, NotMigrated, AppError, OSError
