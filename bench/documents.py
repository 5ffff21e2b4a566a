"""The queries: `CASES` for all servers, the others for ours alone."""

from dataclasses import dataclass

NODE = "id username displayName avatarUrl status followerCount followingCount videoCount lastSyncedAt createdAt"  # 10 fields
PAGE = f"edges {{ cursor node {{ {NODE} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A list of the first accounts, with `totalCount` or without."""

    first: int
    count: bool

    @property
    def name(self) -> str:
        return f"list of {self.first}{', totalCount' if self.count else ''}"

    @property
    def document(self) -> str:
        return (
            "query List($first: Int!, $after: String) "
            f"{{ accounts(first: $first, after: $after) {{ {'totalCount ' if self.count else ''}{PAGE} }} }}"
        )


CASES = tuple(Case(first=first, count=count) for first in (20, 50) for count in (False, True))
FILTERED = (
    "query Filtered($filter: AccountFilter!, $after: String) "
    f"{{ accounts(first: 20, after: $after, filter: $filter) {{ totalCount {PAGE} }} }}"
)
SUMMARY = "query Summary { accountsSummary { totalAccounts activeAccounts expiredAccounts totalFollowers totalLikes } }"
