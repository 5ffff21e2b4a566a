"""accounts(filter: { search }): names are found however they are written, the same on both databases."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.rows import account, store
from tests.support.server import Api
from tiktok_accounts_gql.db.folding import fold
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers.filters import MAX_SEARCH_LENGTH
from tiktok_accounts_gql.wiring import Running

LIST = """
query Search($filter: AccountFilter, $orderBy: AccountOrder) {
  accounts(first: 50, filter: $filter, orderBy: $orderBy) { totalCount edges { node { displayName } } }
}
"""
SYNC = "mutation S($input: SyncAccountsInput!) { syncAccounts(input: $input) { job { id } userErrors { code field } } }"

FOUND = [
    ("istanbul", "İstanbul"),
    ("İSTANBUL", "istanbul"),
    ("isik", "Işık"),
    ("IŞIK", "işık"),
    ("zoe", "Z\u200bo\u200de"),
    ("zo\u2060e", "Zoe"),
    ("zoe", "Z\ufe0fo\ufe0fe\ufe0f"),
    ("zoe", "Zo\u00ade"),
    ("zoe", "\u202eZoe\u202c"),
    ("zoe", "\u2066Z\u061co\u200fe\u2069"),
    ("zoe", "\ufeffZoe"),
    ("zoe", "Zoe\U000e0041\U000e007f"),
    ("zoe", "Zoë"),
    ("Zoë", "ZOE"),
    ("zoe\u0308", "Zoë"),
    ("nguyen", "Nguyễn Thị"),
    ("dang", "Đặng"),
    ("lodz", "Łódź"),
    ("Łódź", "lodz"),
    ("soren", "Søren"),
    ("aether", "Æther"),
    ("oeuvre", "Œuvre"),
    ("thor", "Þór"),
    ("STRASSE", "Straße"),
    ("ﬁne", "FINE"),
    ("fine", "ﬁne"),
    ("zoe", "ｚｏｅ"),
    ("zoe", "𝓩𝓸𝓮"),
    ("zoe", "Ⓩⓞⓔ"),
    ("zoe", "🅩🅞🅔"),
    ("zoe", "ᴢᴏᴇ"),
    ("zoe", "z̶͈̑o̷e̵̝͌"),
    ("x2", "x²"),
    ("ΝΑΤΑΛΙΑΣ", "Ναταλίας"),
    ("νατασ", "Νατάς"),
    ("еще", "Ещё"),
    ("محمد", "مُحَمَّد"),
    ("محمد", "محـمـد"),
    ("علي", "علی"),
    ("صلى الله", "ﷺ"),
    ("שלום", "שָׁלוֹם"),
    ("한글", "한글"),
    ("한", "한글"),
    ("ｶﾞ", "ガ"),
    ("हिंदी", "हिंदी"),
    ("ไทย", "ไทย"),
    ("👩💻", "👩‍💻"),
    ("👋", "👋🏾"),
    ("👋🏾", "👋"),
    ("❤", "❤️"),
    ("12", "1️⃣2️⃣"),
    ("o'brien", "O’Brien"),
    ("anne-marie", "Anne–Marie"),
    ("ann lee", "Ann\u00a0 \u3000Lee"),
    ("ann lee", "Ann\nLee"),
    ("annlee", "Ann\u0000Lee"),
    (" zoe ", "zoe"),
    ("\u3000zoe\u00a0", "zoe"),
    ("@zoe", "zoe"),
    (" @zoe", "@zoe"),
    ("＠zoe", "zoe"),
    ("%", "100%"),
    ("_", "a_b"),
    ("\\", "a\\b"),
]


def names(data: dict[str, Any]) -> list[str]:
    return [edge["node"]["displayName"] for edge in data["accounts"]["edges"]]


def stored(viewer: str, number: int, name: str) -> Account:
    """NUL stays in no name that PostgreSQL stores; what it folds to is stored all the same."""
    return account(viewer, number, display_name=name).model_copy(update={"display_name": name.replace("\0", "")})


async def test_each_name_is_found_as_people_write_it_and_nothing_else_is(api: Api, running: Running) -> None:
    others = [stored(api.viewer, 1000, "somebody"), stored(api.viewer, 1001, "другой")]
    await store(running.db, *others, *[stored(api.viewer, n, name) for n, (_, name) in enumerate(FOUND)])
    for search, name in FOUND:
        data = await api.data(LIST, filter={"search": search})
        assert name.replace("\0", "") in names(data), (search, name)
        assert not {"somebody", "другой"} & set(names(data)), search
        assert data["accounts"]["totalCount"] == len(names(data))


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("कल", "कुल"),  # vowels make another word
        ("ภม", "ภูม"),
        ("하", "한"),
        ("mueller", "Müller"),
        ("a%b", "a-b"),
        ("a_b", "a-b"),
        ("zoe", "zo e"),
    ],
)
async def test_what_is_another_word_is_not_found(api: Api, running: Running, search: str, name: str) -> None:
    await store(running.db, account(api.viewer, display_name=name))
    assert names(await api.data(LIST, filter={"search": search})) == []


@pytest.mark.parametrize("search", ["\u200b", "\u00ad\ufe0f", "\u0301", "\u0000", "\u001b", "🏾", "@\u200d"], ids=ascii)
async def test_a_search_of_nothing_that_shows_finds_nothing(api: Api, running: Running, search: str) -> None:
    await store(running.db, account(api.viewer, display_name="Zoe"))
    data = await api.data(LIST, filter={"search": search})
    assert (names(data), data["accounts"]["totalCount"]) == ([], 0)


@pytest.mark.parametrize("search", ["", " ", "\t\n", "@", " @ ", None], ids=ascii)
async def test_an_empty_search_is_no_condition(api: Api, running: Running, search: str | None) -> None:
    await store(running.db, account(api.viewer, display_name="Zoe"))
    data = await api.data(LIST, filter={"search": search})
    assert (names(data), data["accounts"]["totalCount"]) == (["Zoe"], 1)


async def test_what_grows_when_it_is_folded_is_looked_for_whole(api: Api, running: Running) -> None:
    name = "\ufdfa" * MAX_SEARCH_LENGTH
    await store(running.db, account(api.viewer, display_name=name))
    assert names(await api.data(LIST, filter={"search": name})) == [name]


@pytest.mark.parametrize("length", [MAX_SEARCH_LENGTH + 1, 50_010])
async def test_a_longer_search_is_refused_by_every_list(api: Api, length: int) -> None:
    error = await api.error(LIST, filter={"search": "x" * length})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "100 characters" in error["message"]


@pytest.mark.parametrize("length", [MAX_SEARCH_LENGTH + 1, 50_010])
async def test_a_longer_search_is_a_user_error_of_a_job(api: Api, length: int) -> None:
    payload = (await api.data(SYNC, input={"target": {"filter": {"search": "x" * length}}}))["syncAccounts"]
    field = ["input", "target", "filter", "search"]
    assert payload == {"job": None, "userErrors": [{"code": "INVALID_INPUT", "field": field}]}


async def test_a_job_takes_the_accounts_that_the_list_shows(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, n, display_name=name) for n, name in enumerate(["Zoë", "Zoe", "Bo"])])
    query = SYNC.replace("job { id }", "job { totalCount }")
    payload = (await api.data(query, input={"target": {"filter": {"search": "@ZOË"}}}))["syncAccounts"]
    assert payload["job"] == {"totalCount": 2}


async def test_names_are_ordered_as_they_are_folded(api: Api, running: Running) -> None:
    unordered = ["Zoz", "Łukasz", "zoë", "Mia", "luka", "Élan", "fin", "\u200bAnn"]
    await store(running.db, *[account(api.viewer, n, display_name=name) for n, name in enumerate(unordered)])
    order = {"field": "DISPLAY_NAME", "direction": "ASC"}
    assert names(await api.data(LIST, orderBy=order)) == sorted(unordered, key=fold)
    assert sorted(unordered, key=fold) == ["\u200bAnn", "Élan", "fin", "luka", "Łukasz", "Mia", "zoë", "Zoz"]


async def test_what_the_database_holds_is_the_folded_name(api: Api, running: Running) -> None:
    await store(running.db, account(api.viewer, username="Zo\u200bË_1", display_name=" İrem  Ş. "))
    async with running.db.read() as session:
        held = text("SELECT username_key, display_name_key, search_text FROM accounts WHERE viewer_id = :viewer")
        [row] = await session.execute(held, {"viewer": api.viewer})
    assert tuple(row) == ("zoe_1", "irem s.", "zoe_1\x1firem s.")


@given(st.text())
def test_folding_again_changes_nothing_and_leaves_no_control_character(name: str) -> None:
    folded = fold(name)
    assert fold(folded) == folded
    assert folded == folded.strip()
    assert not any(char < " " or "\x7f" <= char < "\xa0" for char in folded)


@given(st.text())
def test_case_and_compatibility_forms_do_not_matter(name: str) -> None:
    assert fold(name.casefold()) == fold(name)


def test_every_character_folds_to_what_it_stays_and_can_be_stored() -> None:
    folded = {code: fold(chr(code)) for code in range(0x110000)}
    assert [code for code, form in folded.items() if fold(form) != form] == []
    assert all(form.encode() or not form for form in folded.values())  # no half of a surrogate pair
