"""`tiktok-accounts worker`: sync jobs and the schedule, without the API."""

import asyncio
import signal
from typing import TYPE_CHECKING

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.database import check_database, with_database

if TYPE_CHECKING:
    from tiktok_accounts_gql.settings import Settings


@report_errors
def worker() -> None:
    from tiktok_accounts_gql.logs import configure_logs
    from tiktok_accounts_gql.settings import load_settings

    settings = load_settings()
    asyncio.run(with_database(settings, check_database))
    configure_logs(settings.environment)
    asyncio.run(_run_until_signal(settings))


async def _run_until_signal(settings: "Settings") -> None:
    import structlog

    from tiktok_accounts_gql.background import in_background
    from tiktok_accounts_gql.wiring import open_services

    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    async with open_services(settings) as running, in_background(running, settings):
        structlog.get_logger().info("worker started")
        await stopping.wait()
