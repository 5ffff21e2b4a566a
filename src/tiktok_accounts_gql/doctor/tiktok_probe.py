"""One request to TikTok that shows whether it answers, whether it knows this app, and what time it has."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import TikTokError
from tiktok_accounts_gql.tls import get_ssl_context

INVALID_REFRESH_TOKEN = "rft.made-up-by-tiktok-accounts-doctor"  # noqa: S105 - TikTok is to refuse it
HALF_A_SECOND = timedelta(seconds=0.5)  # the `Date` header has whole seconds: on average it is late by this much


@dataclass(slots=True)
class TikTokProbe:
    """TikTok's reply to the refresh of an invalid token.

    `status` and `error` are None without a reply, `skew` without a `Date` in it; a positive skew: TikTok's clock is ahead.
    """

    error: TikTokError | None = None
    status: int | None = None
    skew: timedelta | None = None


async def probe_tiktok(settings: Settings, clock: Clock) -> TikTokProbe:
    probe = TikTokProbe()
    started_at = clock()

    async def record_response(response: httpx.Response) -> None:
        probe.status = response.status_code
        if tiktok_time := _parse_date(response.headers.get("Date", "")):
            probe.skew = tiktok_time + HALF_A_SECOND - (started_at + (clock() - started_at) / 2)

    async with httpx.AsyncClient(
        base_url=settings.tiktok_api_url, verify=get_ssl_context(), event_hooks={"response": [record_response]}
    ) as http:
        tiktok = TikTokClient(
            http,
            client_key=settings.tiktok_client_key,
            client_secret=settings.tiktok_client_secret,
            timeout=settings.tiktok_timeout_seconds,
        )
        try:
            await tiktok.refresh(INVALID_REFRESH_TOKEN)
        except TikTokError as error:
            probe.error = error
    return probe


def _parse_date(header: str) -> datetime | None:
    """Return the time of a `Date` header; None for one that cannot be read or has no time zone."""
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return date if date.tzinfo else None
