"""What every check of `tiktok-accounts doctor` is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.doctor.results import Finding
from tiktok_accounts_gql.doctor.tiktok_probe import TikTokProbe
from tiktok_accounts_gql.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """The server to check: its settings, its database (not opened yet), and TikTok's reply to one request."""

    settings: Settings
    db: Database
    clock: Clock
    probe: TikTokProbe


Check = Callable[[CheckContext], Awaitable[Finding]]
