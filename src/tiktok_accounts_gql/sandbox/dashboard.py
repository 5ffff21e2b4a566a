"""The page `/sandbox/`: everything that the sandbox's own API offers, to look at and to press."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from string import Template
from urllib.parse import quote

from tiktok_accounts_gql.sandbox import pages
from tiktok_accounts_gql.sandbox.faults import SAYS, Faults, Waiting
from tiktok_accounts_gql.sandbox.state import Call, Grant, SandboxState, Truth
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.sandbox.webhooks import Delivery, Reason, Webhooks
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE

SHOWN = 50
PICTURE = 32
_NAMES = {TOKEN_PATH: "token", REVOKE_PATH: "revoke", USER_INFO_PATH: "user info"}
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


def dashboard(state: SandboxState, faults: Faults, webhooks: Webhooks) -> str:
    grants, calls, waiting = state.grants(), state.calls(limit=SHOWN), faults.list_waiting()
    truth = {told.open_id: told for told in state.truth()}
    deliveries = [_delivery(delivery) for delivery in reversed(webhooks.deliveries)]
    body = _BODY.substitute(
        grant_count=len(grants),
        grants="\n".join(_grant(grant, truth.get(grant.open_id), state.clock()) for grant in grants),
        fault_count=len(waiting),
        faults=_list((_fault(one) for one in waiting), "Every call is answered as it should be."),
        kinds=_options({kind.value: f"{kind.value}: {says}" for kind, says in SAYS.items()}),
        paths=_options({"": "all calls", **_NAMES}),
        webhook_url=escape(webhooks.url or "nobody: start with --webhook-url"),
        deliveries=_list(deliveries, "None was sent."),
        reasons=_options({str(int(reason)): f"{int(reason)} {_words(reason.name)}" for reason in Reason}, chosen="1"),
        call_count=len(calls),
        calls="\n".join(_call(call) for call in reversed(calls)),
    )
    return pages.page("TikTok sandbox", body, kind="dashboard")


def _grant(grant: Grant, truth: Truth | None, now: float) -> str:
    user = SandboxUser.of(grant.open_id)
    scopes = " ".join(
        f'<span class="tag">{escape(scope.removeprefix("user.info."))}</span>' for scope in grant.scope_list
    )
    refused = truth.invalid_grants if truth else 0
    return (
        f'<tr><td><div class="who">{pages.picture(user.union_id, PICTURE)}'
        f"<span>{escape(user.display_name)}<small>{escape(grant.open_id)}</small></span></div></td>"
        f'<td class="scopes">{scopes}</td><td class="number">{_left(grant.access_expires_at - now)}</td>'
        f'<td class="number">{truth.refreshes if truth else 0}</td>'
        f'<td class="number{" bad" if refused else ""}">{refused}</td><td>{_actions(grant)}</td></tr>'
    )


def _actions(grant: Grant) -> str:
    buttons = [
        _button(grant, "expire", "Expire", "Expire the access token"),
        _button(grant, "revoke", "Revoke", "The user disconnects the app in TikTok: webhook with reason 1"),
        _button(grant, "ban", "Ban", "TikTok bans the account: webhook with reason 4"),
    ]
    removable = ",".join(scope for scope in grant.scope_list if scope != BASIC_SCOPE)
    if removable:
        buttons.append(_button(grant, "remove-scopes", "Basic only", "The user takes the other scopes back", removable))
    return f'<div class="actions">{"".join(buttons)}</div>'


def _button(grant: Grant, action: str, text: str, title: str, scopes: str = "") -> str:
    kept = f'<input type="hidden" name="scopes" value="{escape(scopes)}">' if scopes else ""
    path = f"/sandbox/grants/{quote(grant.open_id, safe='')}/{action}"
    return f'<form method="post" action="{path}">{kept}<button title="{escape(title)}">{escape(text)}</button></form>'


def _fault(waiting: Waiting) -> str:
    fault = waiting.fault
    about = [_NAMES.get(fault.path or "", "all calls"), fault.open_id or "every account"]
    if fault.share < 1:
        about.append(f"{fault.share:.0%} of them")
    left = "until cleared" if waiting.left is None else f"{waiting.left} left"
    return f"<b>{escape(fault.kind)}</b><small>{escape(', '.join(about))}</small><small>{left}</small>"


def _delivery(delivery: Delivery) -> str:
    reason = _words(Reason(delivery.reason).name)
    status = "no answer" if delivery.status is None else str(delivery.status)
    good = "good" if delivery.status == 200 else "bad"  # noqa: PLR2004
    return (
        f"<small>{_time(delivery.time)}</small><span>{escape(delivery.open_id)}</span>"
        f'<small>{delivery.reason} {reason}</small><b class="{good}">{status}</b>'
    )


def _call(call: Call) -> str:
    name = _NAMES.get(call.path, "picture")
    failed = call.error is not None or not 200 <= call.status < 300  # noqa: PLR2004
    return (
        f"<tr><td>{_time(call.time)}</td><td>{name} <small>{escape(call.kind or '')}</small></td>"
        f'<td>{escape(call.open_id or "")}</td><td class="number {"bad" if failed else "good"}">{call.status or "none"}</td>'
        f"<td>{escape(call.error or '')}</td></tr>"
    )


def _list(entries: Iterable[str], empty: str) -> str:
    shown = "".join(f"<li>{entry}</li>" for entry in entries)
    return f"<ul>{shown}</ul>" if shown else f'<p class="empty">{empty}</p>'


def _options(values: Mapping[str, str], chosen: str = "") -> str:
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in values.items()
    )


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def _time(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%H:%M:%S}.{int(time % 1 * 1000):03}"


def _left(seconds: float) -> str:
    if seconds <= 0:
        return '<span class="bad">expired</span>'
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"  # noqa: PLR2004
