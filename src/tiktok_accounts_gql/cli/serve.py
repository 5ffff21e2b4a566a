"""`tiktok-accounts serve`: the API, in one process or several."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.database import check_database, with_database
from tiktok_accounts_gql.cli.options import Host, Port

SQLITE_WITH_SEVERAL_WORKERS = (
    "ACCOUNTS_DATABASE_URL names a SQLite file, which one process serves: use PostgreSQL for --workers over 1."
)


@report_errors
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(help="Processes that serve.", min=1)] = 1,
    run_jobs: Annotated[bool, typer.Option("--worker/--no-worker", help="Work on sync jobs as well.")] = True,
) -> None:
    from tiktok_accounts_gql.logs import configure_logs
    from tiktok_accounts_gql.server.run import run
    from tiktok_accounts_gql.settings import SettingsInvalid, load_settings

    settings = load_settings()
    if workers > 1 and settings.is_embedded:
        raise SettingsInvalid(SQLITE_WITH_SEVERAL_WORKERS)
    asyncio.run(with_database(settings, check_database))
    configure_logs(settings.environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once everything is closed
    factory = "app_from_environment" if run_jobs else "app_without_worker"
    run(f"tiktok_accounts_gql.app:{factory}", settings, host=host, port=port, workers=workers)
