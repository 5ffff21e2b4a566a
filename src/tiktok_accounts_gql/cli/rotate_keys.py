"""`tiktok-accounts rotate-keys`: everything encrypted again with a new key."""

import asyncio

import typer

from tiktok_accounts_gql.cli.console import print_error, report_errors
from tiktok_accounts_gql.cli.database import with_database

FIX_FOR_UNREADABLE = (
    "Add the key that is missing behind the first one and run this again, or let these accounts be connected again."
)


@report_errors
def rotate_keys() -> None:
    from tiktok_accounts_gql.crypto import Sealer
    from tiktok_accounts_gql.services.key_rotation import KeyRotation
    from tiktok_accounts_gql.settings import load_settings

    settings = load_settings()
    sealer = Sealer(settings.keys)
    rotated = asyncio.run(with_database(settings, lambda db: KeyRotation(db=db, sealer=sealer).run()))
    typer.echo(f"{rotated.count} rows were re-encrypted.")
    for table, account_id in rotated.unreadable:
        of_account = f" of account {account_id}" if account_id else ""
        print_error(f"No key opens {table}{of_account}.")
    if rotated.unreadable:
        print_error(f"{len(rotated.unreadable)} rows stay as they are. {FIX_FOR_UNREADABLE}")
        raise typer.Exit(1)
    typer.echo("Keys behind the first one can go once every server has the new list.")
