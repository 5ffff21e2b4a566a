"""`tiktok-accounts migrate`: the tables, brought up to this version."""

import asyncio

import typer

from tiktok_accounts_gql.cli.console import report_errors


@report_errors
def migrate() -> None:
    from tiktok_accounts_gql.settings import load_settings
    from tiktok_accounts_gql.wiring import migrate_everything

    asyncio.run(migrate_everything(load_settings().database_url))
    typer.echo("The database is up to date.")
