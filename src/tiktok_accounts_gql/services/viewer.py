"""Who asks."""

from dataclasses import dataclass

from tiktok_accounts_gql.db.models import AuditActor


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The authenticated caller, with what the audit keeps of the request."""

    id: str
    actor: AuditActor = AuditActor.USER
    request_id: str | None = None
    ip_address: str | None = None
