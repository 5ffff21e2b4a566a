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


@schema_app.command("print", help="Print the contract (SDL).")
def schema_print() -> None:
    typer.echo(print_contract(), nl=False)


@schema_app.command("check", help="Compare the contract in a file with the code; exit code 1 if they differ.")
def schema_check(
    file: Annotated[Path, typer.Argument(help="The contract to compare with.", exists=True)] = Path("schema.graphql"),
) -> None:
    if file.read_text() != print_contract():
        errors.print(f"{file} differs from the code. Mend one of them; `schema print` prints the code's.", style="red")
        raise typer.Exit(1)
    typer.echo(f"{file} is what the code does.")


@docs_app.command("configuration", help="Print the reference of all settings (Markdown).")
def docs_configuration() -> None:
    typer.echo(configuration_page(), nl=False)


@docs_app.command("errors", help="Print the catalogue of all error codes (Markdown).")
def docs_errors() -> None:
    typer.echo(errors_page(), nl=False)
