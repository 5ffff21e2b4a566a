"""Query.accounts"""

import base64
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import pytest

from tests.support.rows import account, store
from tests.support.server import Api
from tiktok_accounts_gql.db.accounts import AccountOrderField
from tiktok_accounts_gql.db.models import AccountStatus
from tiktok_accounts_gql.wiring import Running

LIST = """
query List($first: Int, $after: String, $last: Int, $before: String, $filter: AccountFilter, $orderBy: AccountOrder) {
  accounts(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
    edges { cursor node { id displayName username status } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
COUNT = "query Count($filter: AccountFilter) { accounts(first: 0, filter: $filter) { totalCount edges { cursor } } }"


def names(data: dict[str, Any]) -> list[str]:
    return [edge["node"]["displayName"] for edge in data["accounts"]["edges"]]


async def test_twenty_come_by_default_newest_first(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, number) for number in range(23)])
    data = await api.data(LIST)
    assert names(data) == [f"Account {number:04}" for number in range(20)]
    assert data["accounts"]["pageInfo"]["hasNextPage"] is True
    assert data["accounts"]["pageInfo"]["hasPreviousPage"] is False
    assert data["accounts"]["pageInfo"]["endCursor"] == data["accounts"]["edges"][-1]["cursor"]


async def test_pages_follow_each_other_in_both_directions(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, number) for number in range(5)])
    first = await api.data(LIST, first=2)
    second = await api.data(LIST, first=2, after=first["accounts"]["pageInfo"]["endCursor"])
    back = await api.data(LIST, last=2, before=second["accounts"]["pageInfo"]["startCursor"])
    assert (names(first), names(second)) == (["Account 0000", "Account 0001"], ["Account 0002", "Account 0003"])
    assert back["accounts"]["edges"] == first["accounts"]["edges"]


async def test_each_viewer_sees_their_own(api: Api, stranger: Api, running: Running) -> None:
    await store(running.db, account(api.viewer, 1), account(stranger.viewer, 2))
    assert names(await api.data(LIST)) == ["Account 0001"]
    assert names(await stranger.data(LIST)) == ["Account 0002"]


async def test_status_filters(api: Api, running: Running) -> None:
    await store(
        running.db, *[account(api.viewer, number, status=status) for number, status in enumerate(AccountStatus)]
    )
    some = await api.data(LIST, filter={"status": ["EXPIRED", "ACTIVE"]})
    assert [edge["node"]["status"] for edge in some["accounts"]["edges"]] == ["ACTIVE", "EXPIRED"]
    assert len(names(await api.data(LIST, filter={"status": []}))) == 3


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("zoë", ["ZOË Kravitz"]),
        ("ZOË", ["ZOË Kravitz"]),
        ("ναταλία", ["ΝΑΤΑΛΊΑ"]),
        ("straße", ["Straße 100%"]),
        ("STRASSE", ["Straße 100%"]),
        ("100%", ["Straße 100%"]),
        ("%", ["Straße 100%"]),
        ("_", ["under_score"]),
        ("\\", ["back\\slash"]),
        ("handle_of", ["under_score"]),
        ("李", ["李娜"]),
        ("nobody", []),
        ("", ["ZOË Kravitz", "ΝΑΤΑΛΊΑ", "Straße 100%", "under_score", "back\\slash", "李娜"]),
        ("core back", []),
        ("\u0000\u001f", []),
    ],
)
async def test_search_is_by_part_of_a_name_in_any_case(
    api: Api, running: Running, search: str, found: list[str]
) -> None:
    shown = ["ZOË Kravitz", "ΝΑΤΑΛΊΑ", "Straße 100%", "under_score", "back\\slash", "李娜"]
    rows = [
        account(api.viewer, number, display_name=name, username="a_handle_of" if name == "under_score" else None)
        for number, name in enumerate(shown)
    ]
    await store(running.db, *rows)
    assert names(await api.data(LIST, filter={"search": search})) == found


async def test_search_goes_with_status_and_any_order(api: Api, running: Running) -> None:
    await store(
        running.db,
        account(api.viewer, 1, display_name="cat b", follower_count=5),
        account(api.viewer, 2, display_name="Cat a", follower_count=None),
        account(api.viewer, 3, display_name="cat c", follower_count=9),
        account(api.viewer, 4, display_name="dog", follower_count=7),
        account(api.viewer, 5, display_name="cat x", status=AccountStatus.EXPIRED),
    )
    where = {"search": "CAT", "status": ["ACTIVE"]}
    for field, direction, expected in [
        ("FOLLOWER_COUNT", "DESC", ["cat c", "cat b", "Cat a"]),
        ("FOLLOWER_COUNT", "ASC", ["cat b", "cat c", "Cat a"]),
        ("DISPLAY_NAME", "ASC", ["Cat a", "cat b", "cat c"]),
        ("CREATED_AT", "ASC", ["cat c", "Cat a", "cat b"]),
    ]:
        data = await api.data(LIST, filter=where, orderBy={"field": field, "direction": direction})
        assert names(data) == expected


async def test_the_count_is_over_all_pages_with_the_filter(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, number, display_name=f"n{number % 3}") for number in range(9)])
    counted = await api.data(COUNT, filter={"search": "n1"})
    assert counted["accounts"] == {"totalCount": 3, "edges": []}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"first": -1}, "`first` is from 0 to 50."),
        ({"first": 51}, "`first` is from 0 to 50."),
        ({"last": 51}, "`last` is from 0 to 50."),
        ({"first": 1, "last": 1}, "Give `first` or `last`, not both."),
        ({"after": "no cursor!"}, "This is not a cursor."),
        ({"before": "\u0000"}, "This is not a cursor."),
        ({"after": " "}, "This is not a cursor."),
        ({"filter": {"search": "x" * 101}}, "`search` has 100 characters at most."),
    ],
)
async def test_mistakes_in_arguments_are_explained(api: Api, variables: dict[str, Any], message: str) -> None:
    error = await api.error(LIST, **variables)
    assert (error["message"], error["extensions"]["code"]) == (message, "BAD_USER_INPUT")


async def test_a_cursor_of_another_order_is_refused(api: Api, running: Running) -> None:
    await store(running.db, account(api.viewer, 1))
    own = (await api.data(LIST))["accounts"]["pageInfo"]["endCursor"]
    for order in ({"field": "USERNAME"}, {"field": "CREATED_AT", "direction": "ASC"}):
        error = await api.error(LIST, after=own, orderBy=order)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "does not belong to this list" in error["message"]


FORGED = (
    b"i5",
    b"i%d" % 2**63,
    b"t0",
    b"t%d" % 10**18,
    b"t-%d" % 10**19,
    b"s",
    b"sa\0b",
    b"s\xff",
    b"s" + b"x" * 201,
    b"?",
)


@pytest.mark.parametrize("key", [b"", *FORGED], ids=lambda key: repr(key[:12]))
@pytest.mark.parametrize("field", AccountOrderField)
async def test_no_forged_cursor_is_an_error_of_the_database(
    api: Api, running: Running, field: AccountOrderField, key: bytes
) -> None:
    """Refused, or a place like any other: whoever makes one up sees nothing but their own list."""
    await store(running.db, account(api.viewer, 1), account("somebody else", 2))
    head = b"\x02" + blake2b(f"accounts {field} DESC".encode(), digest_size=4).digest() + uuid4().bytes
    cursor = base64.urlsafe_b64encode(head + key).rstrip(b"=").decode()
    for place in ("after", "before"):
        answer = (await api.post(LIST, {place: cursor, "orderBy": {"field": field, "direction": "DESC"}})).json()
        if "errors" in answer:
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
        else:
            assert set(names(answer["data"])) <= {"Account 0001"}


async def test_wrong_types_are_the_clients_mistake(api: Api) -> None:
    for variables in (
        {"first": "many"},
        {"orderBy": {"field": "SIZE"}},
        {"first": 10**12},
        {"filter": {"status": [1]}},
    ):
        answer = await api.post(LIST, variables)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert "data" not in answer.json()
