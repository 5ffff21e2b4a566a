"""Queries with their variables: those that a plan answers, and those that are left to graphql-core, with the reason."""

from typing import Any
from uuid import UUID

from tests.execution.fake_rows import KEYS
from tiktok_accounts_gql.execution.engine import ExecutionReason
from tiktok_accounts_gql.resolvers import ids

ACCOUNT, ACCOUNT_2 = (ids.encode(ids.NodeKind.ACCOUNT, key) for key in KEYS[:2])
EVENT, JOB, RESULT = (
    ids.encode(kind, KEYS[0]) for kind in (ids.NodeKind.AUDIT_EVENT, ids.NodeKind.SYNC_JOB, ids.NodeKind.SYNC_RESULT)
)
VIEWER = ids.encode(ids.NodeKind.VIEWER, "viewer")

PLANNED: dict[str, tuple[str, dict[str, Any]]] = {
    "one field": ("{ viewer { id } }", {}),
    "a type name": ("{ __typename }", {}),
    "no fields, as all are skipped": ("{ viewer @skip(if: true) { id } }", {}),
    "no fields of an object": ("{ viewer { id @include(if: false) } }", {}),
    "aliases": ("{ a: viewer { b: id c: id __typename d: __typename } b: viewer { id } }", {}),
    "an alias that is another field's name": ("{ viewer { id: userId userId: id } }", {}),
    "the same field twice": ("{ viewer { id } viewer { id userId } viewer { userId } }", {}),
    "merged below lists": ("{ accounts { edges { node { id } } edges { cursor node { username id } } } }", {}),
    "nested named fragments": (
        (
            "{ accounts { ...A } } fragment A on AccountConnection { edges { ...B } ...C } "
            "fragment B on AccountEdge { node { id ...D } } fragment C on AccountConnection { pageInfo { endCursor } } "
            "fragment D on TikTokAccount { health { state } }"
        ),
        {},
    ),
    "inline fragments without a type": ("{ ... { viewer { ... @include(if: true) { id } } } }", {}),
    "a fragment that does not apply": (f'{{ node(id: "{VIEWER}") {{ ... on TikTokAccount {{ username }} }} }}', {}),
    "@skip and @include at once": (
        "query ($a: Boolean!, $b: Boolean!) { viewer { id @skip(if: $a) @include(if: $b) userId @include(if: $b) } }",
        {"a": False, "b": True},
    ),
    "a condition by its default": ("query ($a: Boolean = true) { viewer { id @skip(if: $a) userId } }", {}),
    "a condition on a spread": (
        "query ($a: Boolean!) { viewer { ...F @include(if: $a) id } } fragment F on Viewer { userId }",
        {"a": True},
    ),
    "an interface": (
        f'{{ node(id: "{ACCOUNT}") {{ __typename id ... on TikTokAccount {{ growth {{ since }} }} }} }}',
        {},
    ),
    "an interface of every kind": (
        (
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Viewer { userId } ... on AuditEvent { action "
            "account { username } details { name value previousValue } } ... on SyncJob { progress results { edges { node "
            "{ error { code message field } account { id } } } } } ... on SyncResult { outcome account { displayName } } } }"
        ),
        {"ids": [ACCOUNT, EVENT, JOB, RESULT, VIEWER, ACCOUNT]},
    ),
    "a fragment on an interface": (
        f'{{ account(id: "{ACCOUNT}") {{ ...N }} }} fragment N on Node {{ id ... on Node {{ __typename }} }}',
        {},
    ),
    "null": (f'{{ node(id: "{ids.encode(ids.NodeKind.ACCOUNT, UUID(int=0))}") {{ id }} }}', {}),
    "null in a list": (
        "query ($i: [ID!]!) { nodes(ids: $i) { id } }",
        {"i": [VIEWER, ids.encode(ids.NodeKind.VIEWER, "x")]},
    ),
    "one value for a list": ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": VIEWER}),
    "an empty list": ("{ nodes(ids: []) { id ... on TikTokAccount { growth(days: 3) { since } } } }", {}),
    "arguments under aliases": (
        f'{{ account(id: "{ACCOUNT}") {{ a: growth(days: 3) {{ since }} b: growth(days: 4) {{ since }} growth {{ since }} }} }}',
        {},
    ),
    "an enum as argument and value": (
        (
            f'query ($g: StatsGranularity! = HOUR) {{ account(id: "{ACCOUNT}") {{ status statsHistory(granularity: $g) '
            "{ recordedAt followerCount } } }"
        ),
        {},
    ),
    "a scalar as argument": (
        (
            f'query ($t: DateTime) {{ account(id: "{ACCOUNT}") {{ statsHistory(from: $t, to: "2026-01-01T00:00:00+02:00") '
            "{ recordedAt } } }"
        ),
        {"t": "2025-12-31T23:00:00Z"},
    ),
    "input objects": (
        (
            "query ($f: AccountFilter, $o: AccountOrder) { accounts(filter: $f, orderBy: $o) { totalCount } "
            "b: accounts(filter: { status: [ACTIVE] search: null }, orderBy: {}) { totalCount } }"
        ),
        {"f": {"status": ["ACTIVE", "EXPIRED"]}, "o": {"direction": "ASC"}},
    ),
    "a variable inside an input object": (
        "query ($s: String, $a: [AccountStatus!]) { accounts(filter: { search: $s, status: $a }) { totalCount } }",
        {"a": "ACTIVE"},
    ),
    "several loaders at several levels": (
        (
            "{ auditEvents { edges { node { account { growth { since } health { state } statsHistory { recordedAt } } } } } "
            "accounts { totalCount edges { node { growth { followerChange } } } } }"
        ),
        {},
    ),
    "several root fields": (
        (
            f'{{ accountsSummary {{ totalAccounts oldestSyncAt }} viewer {{ id }} account(id: "{ACCOUNT}") {{ id }} '
            "syncJobs { totalCount edges { node { state progress } } } }"
        ),
        {},
    ),
    "an unused variable of another operation's name": (
        "query A($x: Int = 3) { accounts(first: $x) { totalCount } }",
        {},
    ),
    "numbers where strings may be": ("query ($i: ID!) { node(id: $i) { id } viewer { id } }", {"i": ACCOUNT_2}),
}

FALLBACK: dict[str, tuple[str, dict[str, Any], ExecutionReason]] = {
    "introspection": ("{ __schema { queryType { name } } }", {}, ExecutionReason.NOT_PLANNABLE),
    "introspection of a type": ('{ __type(name: "Viewer") { name } viewer { id } }', {}, ExecutionReason.NOT_PLANNABLE),
    "a variable that is missing": ("query ($i: ID!) { node(id: $i) { id } }", {}, ExecutionReason.INPUT_REFUSED),
    "a variable of another type": (
        "query ($n: Int) { accounts(first: $n) { totalCount } }",
        {"n": "x"},
        ExecutionReason.INPUT_REFUSED,
    ),
    "null for an argument that has a default": (
        f'query ($d: Int = 3) {{ account(id: "{ACCOUNT}") {{ growth(days: $d) {{ since }} }} }}',
        {"d": None},
        ExecutionReason.INPUT_REFUSED,
    ),
    "a resolver that raises": (
        "{ accounts(first: 51) { edges { cursor } } viewer { id } }",
        {},
        ExecutionReason.RESOLVER_RAISED,
    ),
    "a resolver that raises where null must not be": (
        "{ accounts(first: 51) { totalCount } }",
        {},
        ExecutionReason.RESOLVER_RAISED,
    ),
}
