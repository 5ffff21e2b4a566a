"""Answers about lists, kept for those who ask again.

What is kept are the bytes of a whole answer without errors, for the viewer whom it was given to and for nobody else. It is
given again as long as none of the viewer's accounts has changed since before it was read (`db/change_versions.py`), and until it
expires. What the audit recorded of the reading is recorded again, before the answer leaves.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from math import ceil

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.db.change_versions import ChangeVersion, ChangeVersions
from tiktok_accounts_gql.execution.engine import PreparedOperation
from tiktok_accounts_gql.execution.root_fields import collect_root_fields
from tiktok_accounts_gql.services.viewer import AuditRecord
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.edge import annotate
from tiktok_accounts_gql.web.kept_answers import KeptAnswer, KeptAnswers, Key
from tiktok_accounts_gql.web.requests import GraphQLRequest

LISTS = frozenset({"accounts", "accountsSummary"})
CACHE_STATUS = "Cache-Status"  # RFC 9211
_CACHE = "tiktok-accounts"
_ALONE = LISTS | {"__typename"}
_MIB = 1024 * 1024

Execute = Callable[[Caller], Awaitable[tuple[Response, int]]]  # the answer, and what it costs in points


class Lookup(StrEnum):
    """What became of a request; `bypass`: what it asks for is never kept, or nobody knows what changes."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


Count = Callable[[Lookup], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for lists. `mark` is of when it came."""

    key: Key
    mark: ChangeVersion
    media_type: str


class ListCache:
    """One per process."""

    def __init__(self, *, changes: ChangeVersions, kept: KeptAnswers, seconds: int, count: Count) -> None:
        self._changes = changes
        self._kept = kept
        self._seconds = seconds
        self._count = count

    @classmethod
    def open(cls, settings: Settings, changes: ChangeVersions, count: Count) -> "ListCache | None":
        """None if nothing is to be kept. `count` is told what became of every request."""
        kept = KeptAnswers(memory=settings.list_cache_megabytes * _MIB)
        seconds = settings.list_cache_seconds
        return cls(changes=changes, kept=kept, seconds=seconds, count=count) if seconds else None

    def asked(
        self, prepared: PreparedOperation, request: GraphQLRequest, caller: Caller, media_type: str
    ) -> Asked | None:
        """None for what is not kept, and while it is not known what changes."""
        if not _is_of_lists(prepared) or (mark := self._changes.get(caller.viewer.id)) is None:
            return None
        digest = _digest(request)
        return None if digest is None else Asked(key=Key(caller.viewer.id, digest), mark=mark, media_type=media_type)

    async def answer(self, request: Request, asked: Asked | None, caller: Caller, execute: Execute) -> Response:
        """The kept one or a new one, and in its headers which of them. Raises what `execute` and the audit raise."""
        if asked is None:
            response, _ = await execute(caller)
            return self._said(request, response, Lookup.BYPASS, "fwd=bypass")
        kept = self._kept.find(asked.key, asked.mark)
        if kept is None:
            return await self._read(request, asked, caller, execute)
        await caller.services.budget.spend(caller.viewer.id, kept.points)
        await caller.services.audit.replay(caller.viewer, kept.noted)
        response = Response(kept.body, media_type=f"{asked.media_type}; charset=utf-8")
        left = max(0, ceil(kept.expires_at - self._kept.now()))
        return self._said(request, response, Lookup.HIT, f"hit; ttl={left}")

    async def _read(self, request: Request, asked: Asked, caller: Caller, execute: Execute) -> Response:
        noted: list[AuditRecord] = []
        expires_at = self._kept.now() + self._seconds
        response, points = await execute(replace(caller, viewer=replace(caller.viewer, audit_records=noted)))
        stored = answers.is_whole(response) and self._kept.keep(
            asked.key,
            KeptAnswer(
                body=bytes(response.body), points=points, mark=asked.mark, noted=tuple(noted), expires_at=expires_at
            ),
        )
        return self._said(request, response, Lookup.MISS, "fwd=miss; stored" if stored else "fwd=miss")

    def _said(self, request: Request, response: Response, outcome: Lookup, status: str) -> Response:
        self._count(outcome)
        annotate(request, "cache", outcome)
        response.headers[CACHE_STATUS] = f"{_CACHE}; {status}"
        return response


def _is_of_lists(prepared: PreparedOperation) -> bool:
    if prepared.document is None or prepared.operation is None or prepared.kind is not OperationType.QUERY:
        return False
    roots = collect_root_fields(prepared.document, prepared.operation)
    return roots <= _ALONE and not roots.isdisjoint(LISTS)


def _digest(request: GraphQLRequest) -> bytes | None:
    """The same for what is asked in the same words; None for variables that are nested too deeply to be written."""
    words = [request.query, request.operation_name, request.variables or {}]
    try:
        return sha256(orjson.dumps(words, option=orjson.OPT_SORT_KEYS)).digest()
    except orjson.JSONEncodeError:
        return None
