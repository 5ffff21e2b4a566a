"""The authenticated caller of the API."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.db.models import AuditAction, AuditActor


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An audit event without viewer, time and origin: what `AuditService.replay` needs to record it again."""

    action: AuditAction
    account_id: UUID | None
    details: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The authenticated caller, with the parts of the request that audit events store.

    `name` is the display name that the issuer of the token gave, if any. If `audit_records` is a list, the audit service
    appends to it every event that it records for this viewer; the response cache replays them when it answers.
    """

    id: str
    actor: AuditActor = AuditActor.USER
    request_id: str | None = None
    ip_address: str | None = None
    name: str | None = field(default=None, compare=False)
    audit_records: list[AuditRecord] | None = field(default=None, compare=False, repr=False)
