"""`tiktok-accounts docs`: reference pages of settings and errors."""

import typer

docs_app = typer.Typer(no_args_is_help=True, help="Reference pages, made from the code.")


@docs_app.command("configuration", help="Print the reference of all settings (Markdown).")
def print_configuration_page() -> None:
    from tiktok_accounts_gql.cli.reference import build_configuration_page

    typer.echo(build_configuration_page(), nl=False)


@docs_app.command("errors", help="Print the catalogue of all error codes (Markdown).")
def print_errors_page() -> None:
    from tiktok_accounts_gql.cli.reference import build_errors_page

    typer.echo(build_errors_page(), nl=False)
