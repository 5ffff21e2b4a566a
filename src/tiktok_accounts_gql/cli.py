"""The command line: `tiktok-accounts`."""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import structlog
import typer
from rich.console import Console

from tiktok_accounts_gql.background import in_background
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db.database import Database, check_folder
from tiktok_accounts_gql.db.migrate import NotMigrated, check_migrated
from tiktok_accounts_gql.demo.run import run_demo
from tiktok_accounts_gql.doctor.run import run_doctor
from tiktok_accounts_gql.errors import AppError, ServiceUnavailable
from tiktok_accounts_gql.following import run_sync
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.printing import docs_app, schema_app
from tiktok_accounts_gql.sandbox.app import HALF_A_YEAR, REQUESTS_PER_MINUTE, TWO_HOURS, create_sandbox
from tiktok_accounts_gql.sandbox.server import run_sandbox
from tiktok_accounts_gql.server.run import run
from tiktok_accounts_gql.services.key_rotation import KeyRotation, RotationResult
from tiktok_accounts_gql.settings import Settings, SettingsInvalid, load_settings
from tiktok_accounts_gql.web.authentication import issue_token
from tiktok_accounts_gql.wiring import migrate_everything, open_services

P = ParamSpec("P")
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The command line: `tiktok-accounts`.", rich_markup_mode=None
)
app.add_typer(schema_app, name="schema")
app.add_typer(docs_app, name="docs")
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
ONE_PROCESS = (
    "ACCOUNTS_DATABASE_URL names a SQLite file, which one process serves: use PostgreSQL for --workers over 1."
)
KEEP_KEYS = (
    "Add the key that is missing behind the first one and run this again, or let these accounts be connected again."
)
_LIFETIME = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _says_what_is_wrong(command: Callable[P, None]) -> Callable[P, None]:
    """What an operator can mend ends the command with a message, not with a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (SettingsInvalid, NotMigrated, AppError, OSError) as error:
            errors.print(str(error), style="red", markup=False)
            raise typer.Exit(1) from None

    return run


@app.command(help="Serve the API. Everything else is set by environment variables: see docs/configuration.md.")
@_says_what_is_wrong
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(help="Processes that serve.", min=1)] = 1,
    works: Annotated[bool, typer.Option("--worker/--no-worker", help="Work on sync jobs as well.")] = True,
) -> None:
    settings = load_settings()
    if workers > 1 and settings.is_embedded:
        raise SettingsInvalid(ONE_PROCESS)
    asyncio.run(_with_database(settings, _check))
    configure_logs(settings.environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once everything is closed
    factory = "app_from_environment" if works else "app_without_worker"
    run(f"tiktok_accounts_gql.app:{factory}", settings, host=host, port=port, workers=workers)


@app.command(
    help="Work on sync jobs and the schedule, without serving the API. Any number of workers share one PostgreSQL."
)
@_says_what_is_wrong
def worker() -> None:
    settings = load_settings()
    asyncio.run(_with_database(settings, _check))
    configure_logs(settings.environment)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with open_services(settings) as running, in_background(running, settings):
        structlog.get_logger().info("worker started")
        await ended.wait()


@app.command(
    help="Sync a viewer's accounts as a job, and follow it to its end; exit code 1 if an account could not be read."
)
@_says_what_is_wrong
def sync(
    viewer: Annotated[str, typer.Option(help="Whose accounts.")],
    everything: Annotated[bool, typer.Option("--all", help="Those that are not active as well.")] = False,
    works: Annotated[bool, typer.Option("--work", help="Do the work here: for when no server or worker runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when it is done.")] = False,
) -> None:
    settings = load_settings()
    asyncio.run(_with_database(settings, _check))
    configure_logs(settings.environment, level=logging.ERROR)
    if not asyncio.run(run_sync(settings, viewer, everything=everything, works=works, as_json=as_json)):
        raise typer.Exit(1)


@app.command(
    help="Run everything on this machine: an embedded database, a TikTok sandbox, three viewers with accounts, the API."
)
@_says_what_is_wrong
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".data/demo"),
    reset: Annotated[bool, typer.Option("--reset", help="Forget what the last demo left.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the table.")] = False,
) -> None:
    run_demo(host=host, port=port, data_dir=data_dir, reset=reset, as_json=as_json)


@app.command(help="Run the TikTok sandbox alone. Its page at /sandbox/ shows accounts and calls, and makes calls fail.")
@_says_what_is_wrong
def sandbox(  # noqa: PLR0913, PLR0917 - one for each option
    host: Host = "127.0.0.1",
    port: Port = 8001,
    client_key: Annotated[str, typer.Option(help="The client key that it accepts.")] = "sandbox-client-key",
    client_secret: Annotated[str, typer.Option(help="The client secret that it accepts.")] = "sandbox-client-secret",  # noqa: S107 - of no worth anywhere else
    data: Annotated[Path | None, typer.Option(help="File that keeps its grants; in memory without it.")] = None,
    access_seconds: Annotated[
        int, typer.Option(help="Lifetime of access tokens; 86400 on TikTok's older pages.", min=1)
    ] = TWO_HOURS,
    refresh_seconds: Annotated[
        int, typer.Option(help="Lifetime of refresh tokens; 31536000 on TikTok's older pages.", min=1)
    ] = HALF_A_YEAR,
    requests_per_minute: Annotated[
        int, typer.Option(help="Calls per sliding minute and endpoint that are answered.", min=1)
    ] = REQUESTS_PER_MINUTE,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where it posts webhooks, such as http://127.0.0.1:8000/webhooks/tiktok.")
    ] = None,
) -> None:
    made = create_sandbox(
        client_key=client_key,
        client_secret=client_secret,
        path=data,
        access_seconds=access_seconds,
        refresh_seconds=refresh_seconds,
        requests_per_minute=requests_per_minute,
        webhook_url=webhook_url,
    )
    run_sandbox(made, host=host, port=port)


@app.command("migrate", help="Bring the database's tables up to this version. Nothing happens if they are.")
@_says_what_is_wrong
def migrate_command() -> None:
    asyncio.run(migrate_everything(load_settings().database_url))
    typer.echo("The database is up to date.")


async def _check(db: Database) -> None:
    """What would fail a start, told before it. Raises PreparedStatementsLost, NotMigrated."""
    await db.check_sessions()
    await check_migrated(db)


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    check_folder(settings.database_url)
    db = Database.open(settings.database_url)
    try:
        return await work(db)
    except ServiceUnavailable:
        await asyncio.sleep(0.1)  # SQLite's thread has a last word for this loop after a connection that failed
        raise
    finally:
        await db.close()


@app.command(
    help="Look at settings, database, keys, sign-in and TikTok, and say how to mend what is wrong; then it ends with 1."
)
@_says_what_is_wrong
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the table.")] = False,
) -> None:
    if not run_doctor(as_json=as_json):
        raise typer.Exit(1)


@app.command(
    "rotate-keys",
    help="Seal everything anew with the first of ACCOUNTS_ENCRYPTION_KEYS, while servers run; can be interrupted.",
)
@_says_what_is_wrong
def rotate_keys() -> None:
    settings = load_settings()

    async def rotate(db: Database) -> RotationResult:
        return await KeyRotation(db=db, sealer=Sealer(settings.keys)).run()

    rotated = asyncio.run(_with_database(settings, rotate))
    typer.echo(f"{rotated.count} rows were sealed anew.")
    for table, account_id in rotated.unreadable:
        whose = f" of account {account_id}" if account_id else ""
        errors.print(f"No key opens {table}{whose}.", style="red", markup=False)
    if rotated.unreadable:
        errors.print(f"{len(rotated.unreadable)} rows stay as they are. {KEEP_KEYS}", style="red", markup=False)
        raise typer.Exit(1)
    typer.echo("Keys behind the first one can go once every server has the new list.")


@app.command(
    help="Print a JWT for a viewer. Only where ACCOUNTS_JWT_SECRET is set: keys behind a JWKS URL are not ours."
)
@_says_what_is_wrong
def token(
    viewer: Annotated[str, typer.Option(help="Whose token: the JWT's `sub`.")],
    expires: Annotated[str, typer.Option(help="Lifetime, such as 30m, 1h or 7d.")] = "1h",
) -> None:
    settings = load_settings()
    if settings.jwt_secret is None:
        raise SettingsInvalid("ACCOUNTS_JWT_SECRET is not set: tokens come from whoever runs ACCOUNTS_JWT_JWKS_URL.")
    typer.echo(
        issue_token(
            settings.jwt_secret,
            subject=viewer,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            lifetime=_lifetime(expires),
        )
    )


def _lifetime(text: str) -> timedelta:
    match = _LIFETIME.fullmatch(text)
    if match is None:
        raise typer.BadParameter("A lifetime is a number and one of s, m, h, d, such as 1h.", param_hint="--expires")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
