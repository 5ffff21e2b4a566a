"""All checks of `tiktok-accounts doctor`: what an operator can get wrong, one by one, with how to fix it.

Every check stands alone: a database that is down fails its own check, and those that need it are skipped.
"""

from collections.abc import Mapping

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated
from tiktok_accounts_gql.doctor import clock_checks, database_checks, settings_checks, tiktok_checks
from tiktok_accounts_gql.doctor.context import Check, CheckContext
from tiktok_accounts_gql.doctor.results import CheckResult, Finding, failed, ok, skipped
from tiktok_accounts_gql.doctor.tiktok_probe import probe_tiktok
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.settings import Settings, SettingsInvalid, load_settings

SQLITE_BUSY_SECONDS = 5.0
POOL_SIZE = 4  # of which half are for sessions; one check has two at a time

CHECKS: Mapping[str, Check] = {
    "Database": database_checks.check_database,
    "Tables": database_checks.check_tables,
    "Encryption keys": database_checks.check_encryption_keys,
    "Sign-in": settings_checks.check_sign_in,
    "Allowed origins": settings_checks.check_origins,
    "Redirect URI": settings_checks.check_redirect_uri,
    "Scopes": settings_checks.check_scopes,
    "TikTok": tiktok_checks.check_tiktok,
    "Client key": tiktok_checks.check_client_key,
    "Clock, database": clock_checks.check_database_clock,
    "Clock, TikTok": clock_checks.check_tiktok_clock,
}
CHECKS_OF_TABLES = ("Tables", "Encryption keys", "Clock, database")


async def check_environment() -> list[CheckResult]:
    """Check the server that the environment variables describe. Where they are wrong, all but that is skipped."""
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        first = CheckResult(name="Settings", finding=failed(str(error), "All of them: docs/configuration.md"))
        return [first, *(CheckResult(name=name, finding=skipped("It needs the settings.")) for name in CHECKS)]
    complete = ok(f"They are complete; the environment is {settings.environment}.")
    return [CheckResult(name="Settings", finding=complete), *await run_checks(settings)]


async def run_checks(settings: Settings, *, clock: Clock = utc_now) -> list[CheckResult]:
    db = Database.open(settings.database_url, pool_size=POOL_SIZE, busy_timeout=SQLITE_BUSY_SECONDS)
    try:
        context = CheckContext(settings=settings, db=db, clock=clock, probe=await probe_tiktok(settings, clock))
        return [CheckResult(name=name, finding=await _run_check(name, context)) for name in CHECKS]
    finally:
        await db.close()


async def _run_check(name: str, context: CheckContext) -> Finding:
    if name in CHECKS_OF_TABLES and database_checks.is_file_missing(context.settings):
        return skipped("It needs the database.")
    try:
        return await CHECKS[name](context)
    except ServiceUnavailable:
        return skipped("It needs the database.")
    except NotMigrated:
        return skipped("It needs the tables.")
    except Exception as error:  # noqa: BLE001 - other checks go on; the error's text may hold a secret
        return failed(f"The check itself failed ({type(error).__name__}).", "Please report it.")
