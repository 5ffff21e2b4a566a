"""`tiktok-accounts schema`: the GraphQL contract, printed or compared."""

from pathlib import Path
from typing import Annotated

import typer

from tiktok_accounts_gql.cli.console import print_error

schema_app = typer.Typer(no_args_is_help=True, help="The contract.")


@schema_app.command("print", help="Print the contract (SDL).")
def print_schema() -> None:
    from tiktok_accounts_gql.schema.build import print_contract

    typer.echo(print_contract(), nl=False)


@schema_app.command("check", help="Compare the contract in a file with the code; exit code 1 if they differ.")
def check_schema(
    file: Annotated[Path, typer.Argument(help="The contract to compare with.", exists=True)] = Path("schema.graphql"),
) -> None:
    from tiktok_accounts_gql.schema.build import print_contract

    if file.read_text() != print_contract():
        print_error(f"{file} differs from the code. Fix one of them; `schema print` prints the code's.")
        raise typer.Exit(1)
    typer.echo(f"{file} is what the code does.")
