"""The HTML of the page `/sandbox/`, which shows what the sandbox's own API returns and has its actions as buttons."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from string import Template
from urllib.parse import quote

import httpx

from tiktok_accounts_gql.sandbox.faults import FAULT_DESCRIPTIONS, ActiveFault, Faults
from tiktok_accounts_gql.sandbox.pages import render_page, render_picture
from tiktok_accounts_gql.sandbox.state import CallCounts, RecordedCall, SandboxGrant, SandboxState
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.sandbox.webhooks import Delivery, RemovalReason, WebhookSender
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE

MAX_CALLS = 50
PICTURE_PIXELS = 32
SECONDS_PER_HOUR = 3600
_PATH_NAMES = {TOKEN_PATH: "token", REVOKE_PATH: "revoke", USER_INFO_PATH: "user info"}
_BODY = Template(
    """<header>
<h1>TikTok sandbox</h1>
<a href="">Reload</a>
<p class="note"><strong>Sandbox</strong> This is not TikTok. All of it is JSON as well, below <code>/sandbox/</code>.</p>
</header>
<main>
<div class="column">
<section>
<h2>Accounts <span>$grant_count with a grant</span></h2>
<div class="scroll"><table>
<tr><th>Account</th><th>Scopes</th><th class="number">Access</th><th class="number">Refreshes</th>
<th class="number">invalid_grant</th><th></th></tr>
$grants
</table></div>
</section>
<section>
<h2>Calls <span>the last $call_count</span></h2>
<div class="scroll"><table>
<tr><th>Time (UTC)</th><th>Call</th><th>Open id</th><th class="number">Status</th><th>Error</th></tr>
$calls
</table></div>
</section>
</div>
<div class="column">
<section>
<div class="head"><h2>Faults <span>$fault_count active</span></h2>
<form method="post" action="/sandbox/faults/clear"><button>Clear all</button></form></div>
$faults
<form class="fields" method="post" action="/sandbox/faults">
<label class="wide">What goes wrong<select name="kind">$kinds</select></label>
<label>Of which calls<select name="path">$paths</select></label>
<label>Open id<input name="open_id" placeholder="every account"></label>
<label>Times<input name="times" type="number" min="1" placeholder="until cleared"></label>
<label>Share<input name="share" type="number" min="0.01" max="1" step="0.01" value="1"></label>
<button>Add fault</button>
</form>
</section>
<section>
<h2>Webhooks <span class="address">to $webhook_url</span></h2>
$deliveries
<form class="fields" method="post" action="/sandbox/webhooks">
<label class="wide">authorization.removed, reason<select name="reason">$reasons</select></label>
<label>Open id<input name="open_id" required></label>
<label>Seconds ago<input name="seconds_ago" type="number" min="0" value="0"></label>
<button>End the grant and send</button>
</form>
</section>
</div>
</main>"""
)


def render_dashboard(state: SandboxState, faults: Faults, webhooks: WebhookSender) -> str:
    grants, calls, active_faults = state.list_grants(), state.list_calls(limit=MAX_CALLS), faults.list_active()
    counts = {account.open_id: account for account in state.count_calls()}
    deliveries = [_render_delivery(delivery) for delivery in reversed(webhooks.deliveries)]
    kinds = {kind.value: f"{kind.value}: {description}" for kind, description in FAULT_DESCRIPTIONS.items()}
    reasons = {str(int(reason)): f"{int(reason)} {_to_words(reason.name)}" for reason in RemovalReason}
    body = _BODY.substitute(
        grant_count=len(grants),
        grants="\n".join(_render_grant(grant, counts.get(grant.open_id), state.clock()) for grant in grants),
        fault_count=len(active_faults),
        faults=_render_list(map(_render_fault, active_faults), "Every call is answered as it should be."),
        kinds=_render_options(kinds),
        paths=_render_options({"": "all calls", **_PATH_NAMES}),
        webhook_url=escape(webhooks.url or "no URL: start with --webhook-url"),
        deliveries=_render_list(deliveries, "None was sent."),
        reasons=_render_options(reasons, selected=str(int(RemovalReason.DISCONNECTED_BY_USER))),
        call_count=len(calls),
        calls="\n".join(_render_call(call) for call in reversed(calls)),
    )
    return render_page("TikTok sandbox", body, body_class="dashboard")


def _render_grant(grant: SandboxGrant, counts: CallCounts | None, now: float) -> str:
    user = SandboxUser.of(grant.open_id)
    scopes = " ".join(
        f'<span class="tag">{escape(scope.removeprefix("user.info."))}</span>' for scope in grant.scope_list
    )
    invalid_grants = counts.invalid_grants if counts else 0
    return (
        f'<tr><td><div class="who">{render_picture(user.union_id, PICTURE_PIXELS)}'
        f"<span>{escape(user.display_name)}<small>{escape(grant.open_id)}</small></span></div></td>"
        f'<td class="scopes">{scopes}</td><td class="number">{_format_remaining(grant.access_expires_at - now)}</td>'
        f'<td class="number">{counts.refreshes if counts else 0}</td>'
        f'<td class="number{" bad" if invalid_grants else ""}">{invalid_grants}</td><td>{_render_actions(grant)}</td></tr>'
    )


def _render_actions(grant: SandboxGrant) -> str:
    buttons = [
        _render_button(grant, "expire", "Expire", "Expire the access token"),
        _render_button(grant, "revoke", "Revoke", "The user disconnects the app in TikTok: webhook with reason 1"),
        _render_button(grant, "ban", "Ban", "TikTok bans the account: webhook with reason 4"),
    ]
    removable = ",".join(scope for scope in grant.scope_list if scope != BASIC_SCOPE)
    if removable:
        buttons.append(
            _render_button(grant, "remove-scopes", "Basic only", "The user takes the other scopes back", removable)
        )
    return f'<div class="actions">{"".join(buttons)}</div>'


def _render_button(grant: SandboxGrant, action: str, text: str, title: str, scopes: str = "") -> str:
    hidden_field = f'<input type="hidden" name="scopes" value="{escape(scopes)}">' if scopes else ""
    path = f"/sandbox/grants/{quote(grant.open_id, safe='')}/{action}"
    return f'<form method="post" action="{path}">{hidden_field}<button title="{escape(title)}">{escape(text)}</button></form>'


def _render_fault(active: ActiveFault) -> str:
    fault = active.fault
    target = [_PATH_NAMES.get(fault.path or "", "all calls"), fault.open_id or "every account"]
    if fault.share < 1:
        target.append(f"{fault.share:.0%} of them")
    remaining = "until cleared" if active.remaining is None else f"{active.remaining} left"
    return f"<b>{escape(fault.kind)}</b><small>{escape(', '.join(target))}</small><small>{remaining}</small>"


def _render_delivery(delivery: Delivery) -> str:
    reason = _to_words(RemovalReason(delivery.reason).name)
    status = "no answer" if delivery.status is None else str(delivery.status)
    css_class = "good" if delivery.status == httpx.codes.OK else "bad"
    return (
        f"<small>{_format_time(delivery.time)}</small><span>{escape(delivery.open_id)}</span>"
        f'<small>{delivery.reason} {reason}</small><b class="{css_class}">{status}</b>'
    )


def _render_call(call: RecordedCall) -> str:
    name = _PATH_NAMES.get(call.path, "picture")
    has_failed = call.error is not None or not httpx.codes.is_success(call.status)
    return (
        f"<tr><td>{_format_time(call.time)}</td><td>{name} <small>{escape(call.kind or '')}</small></td>"
        f'<td>{escape(call.open_id or "")}</td><td class="number {"bad" if has_failed else "good"}">{call.status or "none"}</td>'
        f"<td>{escape(call.error or '')}</td></tr>"
    )


def _render_list(entries: Iterable[str], empty: str) -> str:
    items = "".join(f"<li>{entry}</li>" for entry in entries)
    return f"<ul>{items}</ul>" if items else f'<p class="empty">{empty}</p>'


def _render_options(values: Mapping[str, str], selected: str = "") -> str:
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == selected else ""}>{escape(text)}</option>'
        for value, text in values.items()
    )


def _to_words(name: str) -> str:
    return name.lower().replace("_", " ")


def _format_time(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}.{int(time % 1 * 1000):03}"


def _format_remaining(seconds: float) -> str:
    if seconds <= 0:
        return '<span class="bad">expired</span>'
    if seconds >= SECONDS_PER_HOUR:
        return f"{seconds / SECONDS_PER_HOUR:.1f} h"
    return f"{seconds / 60:.0f} min"
