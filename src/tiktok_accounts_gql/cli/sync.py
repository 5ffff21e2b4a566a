"""`tiktok-accounts sync`: a sync job, and its progress in the terminal."""

import asyncio
import logging
from typing import Annotated

import typer

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.database import check_database, with_database


@report_errors
def sync(
    viewer: Annotated[str, typer.Option(help="Whose accounts.")],
    all_accounts: Annotated[bool, typer.Option("--all", help="Those that are not active as well.")] = False,
    run_jobs: Annotated[
        bool, typer.Option("--work", help="Do the work here: for when no server or worker runs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when it is done.")] = False,
) -> None:
    from tiktok_accounts_gql.cli.sync_job import print_summary, run_sync_job
    from tiktok_accounts_gql.db.models import JobState
    from tiktok_accounts_gql.logs import configure_logs
    from tiktok_accounts_gql.settings import load_settings

    settings = load_settings()
    asyncio.run(with_database(settings, check_database))
    configure_logs(settings.environment, level=logging.ERROR)
    summary = asyncio.run(
        run_sync_job(settings, viewer, all_accounts=all_accounts, run_jobs=run_jobs, show_progress=not as_json)
    )
    print_summary(summary, as_json=as_json)
    if summary.state != JobState.SUCCEEDED:
        raise typer.Exit(1)
