"""What only asking tells: the database, what is sealed in it, whoever signs tokens, and TikTok."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import clock as database_clock
from tiktok_accounts_gql.db import sealed
from tiktok_accounts_gql.db.database import Database, PreparedStatementsLost
from tiktok_accounts_gql.db.migrate import NotMigrated, check_migrated
from tiktok_accounts_gql.db.sealed import SealedTable
from tiktok_accounts_gql.doctor.findings import Finding, failed, ok, skipped, warning
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import AppMisconfigured, InvalidGrant, TikTokError, Unavailable, UnreadableReply
from tiktok_accounts_gql.tls import trusted
from tiktok_accounts_gql.web.jwks import JwksKeys

GREATEST_SKEW = timedelta(seconds=30)
MADE_UP_TOKEN = "rft.made-up-by-tiktok-accounts-doctor"  # noqa: S105 - TikTok is to refuse it
READ_AT_ONCE = 1000
_MIGRATE = "Run: tiktok-accounts migrate"
_SYNCHRONIZE = "Let NTP set the clocks of both machines."


def is_missing(settings: Settings) -> bool:
    """A file that is not there: connecting would make one."""
    url = make_url(settings.database_url)
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file()


async def database(settings: Settings, db: Database) -> Finding:
    url = make_url(settings.database_url)
    where = f"{url.host}/{url.database}" if url.host else str(url.database)
    if is_missing(settings):
        return failed(f"There is no file {where}.", _MIGRATE)
    try:
        await db.check_sessions()
        began = time.perf_counter()
        await db.ping()
    except PreparedStatementsLost as error:
        return failed(error.found, error.mend)
    except ServiceUnavailable:
        return failed(
            f"{url.get_backend_name()} at {where} does not answer.", "Start it, or mend ACCOUNTS_DATABASE_URL."
        )
    milliseconds = (time.perf_counter() - began) * 1000
    limit = " It is for one process; several need PostgreSQL." if settings.is_embedded else ""
    return ok(f"{url.get_backend_name()} at {where} answers in {milliseconds:.0f} ms.{limit}")


async def tables(db: Database) -> Finding:
    try:
        await check_migrated(db)
    except NotMigrated:
        return failed("The tables are not those of this version.", _MIGRATE)
    return ok("The tables are those of this version.")


async def keys(settings: Settings, db: Database) -> Finding:
    """Opens everything that is sealed."""
    await check_migrated(db)
    sealer, found = Sealer(settings.keys), _Seals()
    for table in sealed.TABLES:
        async for row in _rows(db, table):
            found.look_at(sealer, table, row)
    total = sum(found.by_key.values())
    if found.unreadable:
        places = ", ".join(f"{place} ({count})" for place, count in found.unreadable.items())
        accounts = _many(len(found.accounts), "account")
        mend = f"Add the key that sealed them to ACCOUNTS_ENCRYPTION_KEYS, behind the first one; without it {accounts} "
        return failed(f"None of the keys opens: {places}.", f"{mend}must be connected again.")
    if older := total - found.by_key[sealer.key_id]:
        mend = "Run: tiktok-accounts rotate-keys. Keep all keys until then."
        return warning(f"Of {total} values, {older} are sealed by an older key.", mend)
    unused = " A key behind the first one is old and can go, or is new: once every server has it, put it in front."
    values = f"{_many(total, 'value')} sealed, all by the first one" if total else "nothing is sealed yet"
    return ok(f"{_many(len(sealer.key_ids), 'key')}; {values}.{unused if len(sealer.key_ids) > 1 else ''}")


@dataclass(slots=True)
class _Seals:
    """How many values each key sealed, and which do not open."""

    by_key: Counter[bytes] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    accounts: set[UUID | None] = field(default_factory=set)

    def look_at(self, sealer: Sealer, table: SealedTable, row: Any) -> None:
        for name in table.columns:
            value: bytes | None = getattr(row, name)
            if value is None:
                continue
            self.by_key[sealer.key_id_of(value)] += 1
            try:
                sealer.open(value, table.place(row, name))
            except SealBroken:
                self.unreadable[f"{table.name}.{name}"] += 1
                self.accounts.add(row.account_id)


async def _rows(db: Database, table: SealedTable) -> AsyncGenerator[Any]:
    after = UUID(int=0)
    while True:
        async with db.read() as session:
            rows = await sealed.list_all(session, table, after=after, limit=READ_AT_ONCE)
        for row in rows:
            yield row
        if len(rows) < READ_AT_ONCE:
            return
        after = getattr(rows[-1], table.id)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


async def jwt(settings: Settings) -> Finding:
    if settings.jwt_secret is not None:
        return ok(
            f"Tokens are signed by a secret of {len(settings.jwt_secret.get_secret_value().encode())} bytes (HS256)."
        )
    if settings.jwt_jwks_url is None:
        return skipped("Neither a secret nor a JWKS URL is set.")
    jwks = JwksKeys(settings.jwt_jwks_url)
    try:
        algorithms = await jwks.list_algorithms()
    except ValueError as error:
        return failed(f"The key set is of no use: {error}", "Mend ACCOUNTS_JWT_JWKS_URL, or what is served there.")
    except (httpx.HTTPError, TimeoutError, RecursionError):
        return failed("The key set cannot be fetched.", "Mend ACCOUNTS_JWT_JWKS_URL, or let this machine reach it.")
    finally:
        await jwks.aclose()
    if not algorithms:
        return failed("The key set holds no key for signatures.", "Serve one for RS256, ES256 or EdDSA.")
    return ok(f"The key set has keys for {', '.join(algorithms)}.")


async def clock_of_database(db: Database, clock: Clock) -> Finding:
    async with db.read() as session:
        await database_clock.now(session)  # connects, which takes its time
        before = clock()
        theirs = await database_clock.now(session)
        after = clock()
    return _skew("the database", theirs - (before + (after - before) / 2))


@dataclass(slots=True)
class Probe:
    """What TikTok answered to the refresh of a token that nobody has."""

    error: TikTokError | None = None
    status: int | None = None
    skew: timedelta | None = None


async def ask_tiktok(settings: Settings, clock: Clock) -> Probe:
    """One call tells all: whether TikTok answers, whether it knows this app, and what time it has."""
    probe = Probe()
    async with _listening(settings, clock, probe) as tiktok:
        try:
            await tiktok.refresh(MADE_UP_TOKEN)
        except TikTokError as error:
            probe.error = error
    return probe


@asynccontextmanager
async def _listening(settings: Settings, clock: Clock, probe: Probe) -> AsyncGenerator[TikTokClient]:
    began = clock()

    async def note(response: httpx.Response) -> None:
        probe.status = response.status_code
        if theirs := _date(response.headers.get("Date", "")):
            probe.skew = theirs + timedelta(seconds=0.5) - (began + (clock() - began) / 2)

    timeout = settings.tiktok_timeout_seconds
    async with httpx.AsyncClient(
        base_url=settings.tiktok_api_url, verify=trusted(), event_hooks={"response": [note]}
    ) as http:
        yield TikTokClient(
            http,
            client_key=settings.tiktok_client_key,
            client_secret=settings.tiktok_client_secret,
            timeout=timeout,
        )


def _date(header: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return date if date.tzinfo else None


async def tiktok(settings: Settings, probe: Probe) -> Finding:
    if probe.status is None:
        return failed(
            f"{settings.tiktok_api_url} does not answer.",
            "Let this machine reach it; without a sandbox ACCOUNTS_TIKTOK_API_URL is not set.",
        )
    if isinstance(probe.error, (Unavailable, UnreadableReply)):
        found = f"{settings.tiktok_api_url} answers with {probe.status}, and not as documented."
        return failed(found, "Try again later; if it stays, look at TikTok's status page and ACCOUNTS_TIKTOK_API_URL.")
    return ok(f"{settings.tiktok_api_url} answers.")


async def client_key(probe: Probe) -> Finding:
    """TikTok looks at the client key and its secret first: who gets as far as the token has the right ones."""
    if isinstance(probe.error, InvalidGrant):
        return ok("TikTok accepts the client key and its secret.")
    if isinstance(probe.error, AppMisconfigured):
        mend = "Copy ACCOUNTS_TIKTOK_CLIENT_KEY and …_CLIENT_SECRET from TikTok's developer portal."
        return failed("TikTok does not accept the client key or its secret.", mend)
    if probe.error is None or isinstance(probe.error, (Unavailable, UnreadableReply)):
        return skipped("TikTok did not say.")
    return warning(f"TikTok did not say: {probe.error.message}", "Try again in a minute.")


async def clock_of_tiktok(probe: Probe) -> Finding:
    return skipped("TikTok told no time.") if probe.skew is None else _skew("TikTok", probe.skew)


def _skew(whose: str, skew: timedelta) -> Finding:
    seconds = abs(skew.total_seconds())
    if abs(skew) <= GREATEST_SKEW:
        return ok(f"This machine and {whose} are {seconds:.0f} s apart.")
    which = "behind" if skew > timedelta(0) else "ahead of"
    return warning(f"This machine is {seconds:.0f} s {which} {whose}.", _SYNCHRONIZE)
