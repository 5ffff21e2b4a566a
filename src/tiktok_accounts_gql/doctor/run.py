"""`tiktok-accounts doctor`: what an operator can get wrong, looked at one by one, with how to mend it.

Every check stands alone: what is away fails its own check, and those that cannot be made without it are skipped.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tiktok_accounts_gql.clock import Clock, utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import NotMigrated
from tiktok_accounts_gql.doctor import configured, reached
from tiktok_accounts_gql.doctor.findings import Check, Finding, State, failed, ok, skipped
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.settings import Settings, SettingsInvalid, load_settings

PATIENCE_SECONDS = 5.0
POOL_SIZE = 4  # of which half are for sessions; one check has two at a time
WIDEST = 100
COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red", State.SKIPPED: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at."""

    settings: Settings
    db: Database
    clock: Clock
    probe: reached.Probe


CHECKS: Mapping[str, Callable[[Patient], Awaitable[Finding]]] = {
    "Database": lambda at: reached.database(at.settings, at.db),
    "Tables": lambda at: reached.tables(at.db),
    "Encryption keys": lambda at: reached.keys(at.settings, at.db),
    "Sign-in": lambda at: reached.jwt(at.settings),
    "Allowed origins": lambda at: configured.origins(at.settings),
    "Redirect URI": lambda at: configured.redirect_uri(at.settings),
    "Scopes": lambda at: configured.scopes(at.settings),
    "TikTok": lambda at: reached.tiktok(at.settings, at.probe),
    "Client key": lambda at: reached.client_key(at.probe),
    "Clock, database": lambda at: reached.clock_of_database(at.db, at.clock),
    "Clock, TikTok": lambda at: reached.clock_of_tiktok(at.probe),
}
NEED_THE_DATABASE = ("Tables", "Encryption keys", "Clock, database")


def run_doctor(*, as_json: bool) -> bool:
    """Prints what was found; False if something failed."""
    checks = asyncio.run(diagnose())
    show(checks, as_json=as_json)
    return all(check.finding.state is not State.FAILED for check in checks)


async def diagnose() -> list[Check]:
    """Of what the environment says."""
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        first = Check(name="Settings", finding=failed(str(error), "All of them: docs/configuration.md"))
        return [first, *(Check(name=name, finding=skipped("It needs the settings.")) for name in CHECKS)]
    complete = ok(f"They are complete; the environment is {settings.environment}.")
    return [Check(name="Settings", finding=complete), *await examine(settings)]


async def examine(settings: Settings, *, clock: Clock = utc_now) -> list[Check]:
    db = Database.open(settings.database_url, pool_size=POOL_SIZE, busy_timeout=PATIENCE_SECONDS)
    try:
        probe = await reached.ask_tiktok(settings, clock)
        patient = Patient(settings=settings, db=db, clock=clock, probe=probe)
        return [Check(name=name, finding=await _made(name, patient)) for name in CHECKS]
    finally:
        await db.close()


async def _made(name: str, patient: Patient) -> Finding:
    if name in NEED_THE_DATABASE and reached.is_missing(patient.settings):
        return skipped("It needs the database.")
    try:
        return await CHECKS[name](patient)
    except ServiceUnavailable:
        return skipped("It needs the database.")
    except NotMigrated:
        return skipped("It needs the tables.")
    except Exception as error:  # noqa: BLE001 - the others go on; its text may hold anything
        return failed(f"The check itself failed ({type(error).__name__}).", "Please report it.")


def show(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        healthy = all(check.finding.state is not State.FAILED for check in checks)
        typer.echo(json.dumps({"ok": healthy, "checks": [{"name": one.name, **asdict(one.finding)} for one in checks]}))
        return
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    table = Table("What", "State", "Found, and how to mend it")
    for check in checks:
        table.add_row(check.name, Text(check.finding.state, style=COLOURS[check.finding.state]), _said(check.finding))
    console.print(table)


def _said(finding: Finding) -> Text:
    """As it is: a setting that looks like markup is none."""
    said = Text(finding.found)
    return said if finding.mend is None else said.append(f"\n→ {finding.mend}", style="italic")
