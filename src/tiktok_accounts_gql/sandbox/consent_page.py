"""The consent page's HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams

from tiktok_accounts_gql.sandbox.pages import render_page, render_picture
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE

PICTURE_PIXELS = 40
_SCOPE_LABELS = {
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
$hidden_fields
<fieldset>
<legend>Sign in as</legend>
$users
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
class UserOption:
    """A user to sign in as. `is_connected`: they have a grant for this app."""

    user: SandboxUser
    is_connected: bool


def render_consent_page(parameters: QueryParams, options: Sequence[UserOption]) -> str:
    """Render the page. The first user without a grant is selected."""
    selected = next((option for option in options if not option.is_connected), options[0] if options else None)
    own_parameters = [(name, value) for name, value in parameters.multi_items() if not name.startswith("sandbox_")]
    body = _BODY.substitute(
        note=_NOTE,
        app=escape(parameters["client_key"]),
        back=escape(urlsplit(parameters["redirect_uri"]).netloc or parameters["redirect_uri"]),
        hidden_fields="\n".join(_render_hidden_field(name, value) for name, value in own_parameters),
        users="\n".join(_render_user(option, is_selected=option is selected) for option in options),
        scopes="\n".join(_render_scope(name) for name in parameters["scope"].split(",")),
    )
    return render_page("Authorize — TikTok sandbox", body, body_class="consent")


def render_error_page(error: str) -> str:
    body = (
        f"<main>{_NOTE}<h1>This link has an error</h1><p><code>{escape(error)}</code></p>"
        '<p class="small">TikTok would refuse it as well. The app that made the link has to fix it.</p></main>'
    )
    return render_page("Invalid request — TikTok sandbox", body, body_class="consent")


def _render_hidden_field(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def _render_user(option: UserOption, *, is_selected: bool) -> str:
    user = option.user
    tick = '&nbsp;<span class="verified" title="Verified">✓</span>' if user.is_verified else ""
    tag = '<span class="tag">Connected</span>' if option.is_connected else ""
    return (
        f'<label class="person"><input type="radio" name="sandbox_user" value="{escape(user.open_id)}" required'
        f"{' checked' if is_selected else ''}>{render_picture(user.union_id, PICTURE_PIXELS)}"
        f"<span><b>{escape(user.display_name)}{tick}</b><small>@{escape(user.username)}</small></span>{tag}</label>"
    )


def _render_scope(name: str) -> str:
    title, description = _SCOPE_LABELS.get(name, (name, ""))
    box = f'<input type="checkbox" name="sandbox_scopes" value="{escape(name)}" checked>'
    if name == BASIC_SCOPE:
        box = f'{_render_hidden_field("sandbox_scopes", name)}<input type="checkbox" checked disabled>'
    text = f"<span><b>{escape(title)}</b><small>{escape(description)}</small></span><code>{escape(name)}</code>"
    return f'<label class="scope">{box}{text}</label>'
