"""Checks of clocks, which have to agree: tokens expire, and leases end, by the time of one machine or another."""

from datetime import timedelta

from tiktok_accounts_gql.db import clock as database_clock
from tiktok_accounts_gql.doctor.context import CheckContext
from tiktok_accounts_gql.doctor.results import Finding, ok, skipped, warning

MAX_SKEW = timedelta(seconds=30)


async def check_database_clock(context: CheckContext) -> Finding:
    async with context.db.read() as session:
        await database_clock.now(session)  # connects, which takes time that is not to be measured
        before = context.clock()
        database_time = await database_clock.now(session)
        after = context.clock()
    return _compare("the database", database_time - (before + (after - before) / 2))


async def check_tiktok_clock(context: CheckContext) -> Finding:
    skew = context.probe.skew
    return skipped("TikTok's reply has no time.") if skew is None else _compare("TikTok", skew)


def _compare(name: str, skew: timedelta) -> Finding:
    """Compare two clocks. `skew`: how far the other one is ahead of this machine's."""
    seconds = abs(skew.total_seconds())
    if abs(skew) <= MAX_SKEW:
        return ok(f"This machine and {name} are {seconds:.0f} s apart.")
    relation = "behind" if skew > timedelta(0) else "ahead of"
    return warning(f"This machine is {seconds:.0f} s {relation} {name}.", "Let NTP set the clocks of both machines.")
