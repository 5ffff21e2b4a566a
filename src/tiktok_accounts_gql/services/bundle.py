"""The services that resolvers, HTTP routes and commands call."""

from dataclasses import dataclass

from tiktok_accounts_gql.services.accounts import AccountService
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.authorizations import AuthorizationService
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.connections import ConnectionService
from tiktok_accounts_gql.services.cost_budget import CostBudget
from tiktok_accounts_gql.services.history import HistoryService
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.start_pages import StartPages
from tiktok_accounts_gql.services.streams import StreamLimiter
from tiktok_accounts_gql.services.subscriptions import SubscriptionService
from tiktok_accounts_gql.services.sync.job_lists import JobListService
from tiktok_accounts_gql.services.sync.jobs import JobService
from tiktok_accounts_gql.services.sync.service import SyncService
from tiktok_accounts_gql.services.webhooks import WebhookService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services. `scopes` are those that this server requests; `public_url` is where browsers reach it."""

    accounts: AccountService
    audit: AuditService
    authorizations: AuthorizationService
    avatars: AvatarService
    budget: CostBudget
    connections: ConnectionService
    history: HistoryService
    jobs: JobService
    job_lists: JobListService
    subscriptions: SubscriptionService
    removals: RemovalService
    start_pages: StartPages
    streams: StreamLimiter
    syncing: SyncService
    webhooks: WebhookService
    scopes: tuple[str, ...]
    public_url: str
