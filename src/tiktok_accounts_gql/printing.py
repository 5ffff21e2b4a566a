"""`tiktok-accounts schema` and `tiktok-accounts docs`: what the code says of itself, printed or compared."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tiktok_accounts_gql.reference import configuration_page, errors_page
from tiktok_accounts_gql.schema.build import print_contract

schema_app = typer.Typer(no_args_is_help=True, help="The contract.")
docs_app = typer.Typer(no_args_is_help=True, help="Reference pages, made from the code.")
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@schema_app.command("print")
def schema_print() -> None:
    """Print the contract (SDL)."""
    typer.echo(print_contract(), nl=False)


@schema_app.command("check")
def schema_check(
    file: Annotated[Path, typer.Argument(help="The contract to compare with.", exists=True)] = Path("schema.graphql"),
) -> None:
    """Compare the contract in a file with the code; exit code 1 if they differ."""
    if file.read_text() != print_contract():
        errors.print(f"{file} differs from the code. Mend one of them; `schema print` prints the code's.", style="red")
        raise typer.Exit(1)
    typer.echo(f"{file} is what the code does.")


@docs_app.command("configuration")
def docs_configuration() -> None:
    """Print the reference of all settings (Markdown)."""
    typer.echo(configuration_page(), nl=False)


@docs_app.command("errors")
def docs_errors() -> None:
    """Print the catalogue of all error codes (Markdown)."""
    typer.echo(errors_page(), nl=False)
