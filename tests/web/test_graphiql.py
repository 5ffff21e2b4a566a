import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse, print_ast
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiktok_accounts_gql.web.graphiql.examples import ACCOUNT_ID, Example, load_examples
from tiktok_accounts_gql.web.graphiql.page import STATIC, Explorer

OWN_FILES = ("boot.js", "page.css")
HOSTILE = Example(
    name="hostile",
    title="</a><script>alert(1)</script>",
    query="{ __typename } # \"'><img src=x onerror=alert(1)> & 100% ${endpoint} ü",
    variables='{"search": "</script><script>alert(2)</script>"}',
)


class Page(HTMLParser):
    """What a browser finds in the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def files(self) -> list[str]:
        found = [(tag, attributes.get("href" if tag == "link" else "src")) for tag, attributes in self.tags]
        return [address for tag, address in found if tag in ("link", "script", "img") and address]


def app_with(*examples: Example) -> Starlette:
    explorer = Explorer(examples)

    async def endpoint(request: Request) -> Response:
        return explorer.page()

    return Starlette(routes=[Route("/graphql", endpoint), *explorer.routes()])


async def get_page(*examples: Example) -> Page:
    async with browser_at(app_with(*examples)) as browser:
        return Page((await browser.get("/graphql")).text)


def browser_at(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with browser_at(app_with(*load_examples())) as client:
        yield client


async def test_the_page_loads_without_a_token_and_links_every_example(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/graphql", headers={"Accept": "text/html"})

    page = Page(response.text)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "TikTok accounts — GraphiQL" in page.texts
    links = [parse_qs(urlsplit(link["href"] or "").query) for link in page.all("a")]
    assert [link["query"] for link in links] == [[example.query] for example in load_examples()]
    assert all(set(link) <= {"query", "variables"} for link in links)


async def test_the_page_runs_nothing_but_its_own_files(browser: httpx.AsyncClient) -> None:
    headers = (await browser.get("/graphql")).headers

    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["vary"] == "Accept"


async def test_the_page_has_no_inline_script_and_names_no_other_server(browser: httpx.AsyncClient) -> None:
    html = (await browser.get("/graphql")).text

    page = Page(html)
    assert "//" not in html
    assert page.all("script")
    assert all(script["src"] for script in page.all("script"))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


async def test_every_file_of_the_page_exists_and_is_cached_for_long(browser: httpx.AsyncClient) -> None:
    page = Page((await browser.get("/graphql")).text)

    assert len(set(page.files)) == 9
    for address in page.files:
        response = await browser.get(address)
        assert response.status_code == 200, address
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/svg+xml")


@pytest.mark.parametrize("address", ["boot.js", "boot.js?v=0123456789abcdef", "boot.js?v="])
async def test_a_file_without_its_version_is_asked_for_anew(browser: httpx.AsyncClient, address: str) -> None:
    response = await browser.get(f"/graphql/static/{address}")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["missing.js", "%2e%2e/page.py", "vendor/..%2f..%2fpage.py", "vendor", ""])
async def test_nothing_but_the_static_files_is_served(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(f"/graphql/static/{path}?v=1")).status_code == 404


def test_no_style_loads_anything_and_our_own_files_name_no_server() -> None:
    styles = "".join(file.read_text() for file in STATIC.rglob("*.css"))
    assert set(re.findall(r"url\(['\"]?(\w+:)?", styles)) == {"data:"}
    assert "@import" not in styles
    assert not [name for name in OWN_FILES if "://" in (STATIC / name).read_text()]


def test_the_licences_of_what_was_taken_are_there() -> None:
    text = (STATIC / "LICENSES.txt").read_text()

    for package in ("react@18.2.0", "react-dom@18.2.0", "graphiql@3.8.3", "@graphiql/plugin-explorer@1.0.2"):
        assert package in text
    assert "SIL OPEN FONT LICENSE" in text


async def test_a_hostile_example_stays_text() -> None:
    page = await get_page(HOSTILE)

    (link,) = page.all("a")
    assert parse_qs(urlsplit(link["href"] or "").query) == {"query": [HOSTILE.query], "variables": [HOSTILE.variables]}
    assert HOSTILE.title in page.texts
    assert all(script["src"] for script in page.all("script"))
    assert not [image for image in page.all("img") if image.get("src") == "x"]


async def test_a_hostile_endpoint_stays_text() -> None:
    html = bytes(Explorer((), '/"><script>alert(1)</script>').page().body).decode()

    assert all(script["src"] for script in Page(html).all("script"))


def test_the_examples_come_in_their_order() -> None:
    assert [example.title for example in load_examples()][:4] == [
        "List accounts",
        "Account detail",
        "Sync an account",
        "Disconnect an account",
    ]


@pytest.mark.parametrize("example", load_examples(), ids=lambda example: example.name)
def test_an_example_holds_one_operation_and_a_value_for_each_required_variable(example: Example) -> None:
    document = parse(example.query)

    (operation,) = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    given = json.loads(example.variables or "{}")
    names = {variable.variable.name.value for variable in operation.variable_definitions or ()}
    required = {
        variable.variable.name.value
        for variable in operation.variable_definitions or ()
        if variable.type.kind == "non_null_type" and variable.default_value is None
    }
    assert required <= set(given) <= names
    assert operation.name is not None


def test_a_fragment_is_the_same_in_every_document() -> None:
    texts: dict[str, set[str]] = {}
    for example in load_examples():
        for node in parse(example.query).definitions:
            if isinstance(node, FragmentDefinitionNode):
                texts.setdefault(node.name.value, set()).add(print_ast(node))

    assert texts
    assert [name for name, different in texts.items() if len(different) > 1] == []


def test_an_example_about_one_account_leaves_its_id_to_the_page() -> None:
    about_one = [example.name for example in load_examples() if ACCOUNT_ID in example.variables]

    assert about_one == ["account_detail", "sync_account", "disconnect_account", "node", "nodes"]
    assert f'"{ACCOUNT_ID}"' in (STATIC / "boot.js").read_text()


def test_comments_at_the_top_become_title_and_variables(tmp_path: Path) -> None:
    (tmp_path / "b.graphql").write_text(
        '# Title: B\n# Variables: {"n": 1, "f": {"s": "ü"}}\n\n# About\n{ __typename }\n'
    )
    (tmp_path / "a.graphql").write_text("# Title: A\n{ a }")
    (tmp_path / "z.graphql").write_text("# Title: Z\n# Order: 1\n{ z }")
    (tmp_path / "notes.txt").write_text("no document")

    assert load_examples(tmp_path) == (
        Example(name="z", title="Z", query="{ z }\n", variables=""),
        Example(name="a", title="A", query="{ a }\n", variables=""),
        Example(
            name="b",
            title="B",
            query="# About\n{ __typename }\n",
            variables='{\n  "n": 1,\n  "f": {"s": "ü"}\n}',
        ),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{ a }", "operations/broken.graphql has no first line such as '# Title: List accounts'"),
        ("# Title: A\n# Variables: {first: 1}\n{ a }", "operations/broken.graphql: the variables are no JSON object"),
        ("# Title: A\n# Variables: [1]\n{ a }", "operations/broken.graphql: the variables are no JSON object"),
    ],
)
def test_a_document_that_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "broken.graphql").write_text(text)

    with pytest.raises(ValueError, match=re.escape(complaint)):
        load_examples(tmp_path)
