"""The consent page's HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams

from tiktok_accounts_gql.sandbox import pages
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE

PICTURE = 40
_WHAT_A_SCOPE_OPENS = {
    BASIC_SCOPE: ("Name and picture", "Always shared"),
    "user.info.profile": ("Profile", "Username, bio, link, verification"),
    "user.info.stats": ("Counters", "Followers, following, likes, videos"),
}
_NOTE = '<p class="note"><strong>Sandbox</strong> This is not TikTok, and nobody here is real.</p>'
_BODY = Template(
    """<main>
$note
<h1><b>$app</b> would like to access a TikTok account</h1>
<form action="">
$asked
<fieldset>
<legend>Sign in as</legend>
$people
</fieldset>
<fieldset>
<legend>Let it see</legend>
$scopes
</fieldset>
<div class="choice">
<button name="sandbox_deny" value="1" class="quiet">Deny</button>
<button class="loud">Allow</button>
</div>
</form>
<p class="small">Either way you go back to <b>$back</b>.</p>
</main>"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody to sign in as. `connected`: the app has a grant of theirs."""

    user: SandboxUser
    connected: bool


def consent_page(asked: QueryParams, people: Sequence[Person]) -> str:
    first = next((person for person in people if not person.connected), people[0] if people else None)
    body = _BODY.substitute(
        note=_NOTE,
        app=escape(asked["client_key"]),
        back=escape(urlsplit(asked["redirect_uri"]).netloc or asked["redirect_uri"]),
        asked="\n".join(_kept(name, value) for name, value in asked.multi_items() if not name.startswith("sandbox_")),
        people="\n".join(_person(person, chosen=person is first) for person in people),
        scopes="\n".join(_scope(name) for name in asked["scope"].split(",")),
    )
    return pages.page("Authorize — TikTok sandbox", body, kind="consent")


def wrong_page(wrong: str) -> str:
    body = (
        f"<main>{_NOTE}<h1>This link asks for something wrong</h1><p><code>{escape(wrong)}</code></p>"
        '<p class="small">TikTok would refuse it as well. Whoever made the link has to mend it.</p></main>'
    )
    return pages.page("Wrong request — TikTok sandbox", body, kind="consent")


def _kept(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def _person(person: Person, *, chosen: bool) -> str:
    user = person.user
    tick = '&nbsp;<span class="verified" title="Verified">✓</span>' if user.is_verified else ""
    tag = '<span class="tag">Connected</span>' if person.connected else ""
    return (
        f'<label class="person"><input type="radio" name="sandbox_user" value="{escape(user.open_id)}" required'
        f"{' checked' if chosen else ''}>{pages.picture(user.union_id, PICTURE)}"
        f"<span><b>{escape(user.display_name)}{tick}</b><small>@{escape(user.username)}</small></span>{tag}</label>"
    )


def _scope(name: str) -> str:
    title, says = _WHAT_A_SCOPE_OPENS.get(name, (name, ""))
    box = f'<input type="checkbox" name="sandbox_scopes" value="{escape(name)}" checked>'
    if name == BASIC_SCOPE:
        box = f'{_kept("sandbox_scopes", name)}<input type="checkbox" checked disabled>'
    text = f"<span><b>{escape(title)}</b><small>{escape(says)}</small></span><code>{escape(name)}</code>"
    return f'<label class="scope">{box}{text}</label>'
