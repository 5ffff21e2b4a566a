"""Who asks."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.db.models import AuditAction, AuditActor


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What an event of audit says, but for who, when and from where."""

    action: AuditAction
    account_id: UUID | None
    details: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The authenticated caller, with what the audit keeps of the request.

    `name`: what people know this user by, as the issuer of the token says. `noted`: where the audit notes what it has recorded,
    for somebody who may have to record it again.
    """

    id: str
    actor: AuditActor = AuditActor.USER
    request_id: str | None = None
    ip_address: str | None = None
    name: str | None = field(default=None, compare=False)
    noted: list[Noted] | None = field(default=None, compare=False, repr=False)
