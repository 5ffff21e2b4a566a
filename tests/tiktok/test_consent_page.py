"""The sandbox's consent page, in a browser without scripts."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.tiktok.sandbox_app import AUTHORIZATION_PARAMETERS, REDIRECT_URI, App, run_sandbox
from tiktok_accounts_gql.sandbox.consent import AUTHORIZE_PATH
from tiktok_accounts_gql.sandbox.users import DEFAULT_OPEN_IDS, SandboxUser

HOSTILE = '"><script>alert(1)</script>&amp;'


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with run_sandbox() as app:
        yield app


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            tag_attributes
            for name, tag_attributes in self.tags
            if name == tag and attributes.items() <= tag_attributes.items()
        ]

    def submit(self, user: str, *, without: str | None = None, deny: bool = False) -> httpx.QueryParams:
        """Return the parameters that the form sends when a user clicks."""
        fields = [*self.all("input", type="hidden"), *self.all("input", type="checkbox")]
        parameters = [
            (f["name"] or "", f["value"] or "") for f in fields if "disabled" not in f and f["value"] != without
        ]
        return httpx.QueryParams([*parameters, ("sandbox_user", user), *([("sandbox_deny", "1")] if deny else [])])


def open_page(app: App, **changes: str) -> Page:
    answer = app.http.get(AUTHORIZE_PATH, params={**AUTHORIZATION_PARAMETERS, **changes})
    assert answer.status_code == 200
    return Page(answer.text)


def redirect_parameters(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_it_offers_users_with_picture_name_and_handle(app: App) -> None:
    page = open_page(app)
    assert [radio["value"] for radio in page.all("input", type="radio")] == list(DEFAULT_OPEN_IDS)
    for user in map(SandboxUser.of, DEFAULT_OPEN_IDS):
        assert user.display_name in page.texts
        assert f"@{user.username}" in page.texts
    assert len({image["src"] for image in page.all("img")}) == len(DEFAULT_OPEN_IDS)


def test_it_is_shown_whether_or_not_automatic_consent_is_disabled(app: App) -> None:
    app.grant(DEFAULT_OPEN_IDS[0])
    for value in ("", "0", "1"):
        assert open_page(app, disable_auto_auth=value).all("form")


def test_allowing_ends_in_the_redirect_with_a_code(app: App) -> None:
    back = redirect_parameters(app.http.get(AUTHORIZE_PATH, params=open_page(app).submit(DEFAULT_OPEN_IDS[0])))
    assert (back["state"], back["scopes"], "code" in back) == (
        AUTHORIZATION_PARAMETERS["state"],
        AUTHORIZATION_PARAMETERS["scope"],
        True,
    )


def test_a_scope_without_its_tick_is_not_granted(app: App) -> None:
    sent = open_page(app).submit(DEFAULT_OPEN_IDS[0], without="user.info.stats")
    assert (
        redirect_parameters(app.http.get(AUTHORIZE_PATH, params=sent))["scopes"] == "user.info.basic,user.info.profile"
    )


def test_the_basic_scope_cannot_be_unticked(app: App) -> None:
    page = open_page(app)
    [fixed] = [box for box in page.all("input", type="checkbox") if "disabled" in box]
    assert "checked" in fixed
    assert page.all("input", type="hidden", name="sandbox_scopes", value="user.info.basic")


def test_denying_ends_in_the_redirect_with_an_error(app: App) -> None:
    back = redirect_parameters(
        app.http.get(AUTHORIZE_PATH, params=open_page(app).submit(DEFAULT_OPEN_IDS[0], deny=True))
    )
    assert (back["error"], back["state"], "code" in back) == ("access_denied", AUTHORIZATION_PARAMETERS["state"], False)


def test_the_form_sends_the_parameters_of_the_app(app: App) -> None:
    challenge = {"code_challenge": "c" * 64, "code_challenge_method": "S256"}
    hidden_fields = {field["name"]: field["value"] for field in open_page(app, **challenge).all("input", type="hidden")}
    assert {**AUTHORIZATION_PARAMETERS, **challenge}.items() <= hidden_fields.items()


def test_a_connected_user_is_marked_and_not_selected() -> None:
    with run_sandbox() as app:
        app.grant(DEFAULT_OPEN_IDS[0])
        page = open_page(app)
    assert page.texts.count("Connected") == 1
    assert [radio["value"] for radio in page.all("input", type="radio") if "checked" in radio] == [DEFAULT_OPEN_IDS[1]]


@pytest.mark.parametrize("name", ["state", "redirect_uri", "unknown"])
def test_html_in_parameters_is_escaped(app: App, name: str) -> None:
    page = open_page(app, **{name: HOSTILE})
    assert not page.all("script")
    assert page.all("input", type="hidden", name=name, value=HOSTILE)


def test_it_says_that_it_is_a_sandbox_and_asks_no_other_server(app: App) -> None:
    answer = app.http.get(AUTHORIZE_PATH, params=AUTHORIZATION_PARAMETERS)
    page = Page(answer.text)
    assert "Sandbox" in page.texts
    links = [attributes.get("src") or attributes.get("href") or "" for _, attributes in page.tags]
    assert all(link == "" or link.startswith("data:") for link in links)
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["img-src"], policy["frame-ancestors"]) == ("'none'", "data:", "'none'")


def test_a_browser_with_an_invalid_request_gets_a_page(app: App) -> None:
    wrong = {**AUTHORIZATION_PARAMETERS, "scope": "video.<b>list"}
    answer = app.http.get(AUTHORIZE_PATH, params=wrong, headers={"Accept": "text/html"})
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "scope: video.<b>list" in Page(answer.text).texts
    assert app.http.get(AUTHORIZE_PATH, params=wrong).json()["error"] == "invalid_request"
