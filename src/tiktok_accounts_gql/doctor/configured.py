"""What the settings alone tell: rules of TikTok's that only TikTok would tell later, one user at a time.

Sources: TikTok for Developers, "Login Kit for Web", "Login Kit for Desktop", "TikTok API Scopes".
"""

from urllib.parse import urlsplit

from tiktok_accounts_gql.doctor.findings import Finding, failed, ok, warning
from tiktok_accounts_gql.settings import CALLBACK_PATH, Settings
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES

LONGEST_REDIRECT_URI = 511
WITHOUT_SCOPE = {
    "user.info.profile": "username, bioDescription, profileUrl and isVerified",
    "user.info.stats": "all counters, statsHistory, growth and the totals",
}
_SET_REDIRECT = "Set ACCOUNTS_TIKTOK_REDIRECT_URI or ACCOUNTS_PUBLIC_URL, and register the same at TikTok."


async def origins(settings: Settings) -> Finding:
    """Compared as whole texts, so that one which is written in another way never fits."""
    wrong = [origin for origin in settings.allowed_origins if not _is_origin(origin)]
    if wrong:
        mend = (
            "Write them in ACCOUNTS_ALLOWED_ORIGINS as browsers do: https://app.example.com, without a path or slash."
        )
        return failed(f"No origins: {', '.join(wrong)}.", mend)
    return ok(f"Pages of {', '.join(settings.allowed_origins) or 'no other site'} may call this API.")


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = parts.scheme in ("http", "https") and bool(parts.netloc) and "@" not in parts.netloc
    return plain and text == f"{parts.scheme}://{parts.netloc}".lower()


async def redirect_uri(settings: Settings) -> Finding:
    uri = settings.redirect_uri
    if "?" in uri or "#" in uri:
        return failed(f"{uri} has a query or a fragment; TikTok takes static ones only.", _SET_REDIRECT)
    if len(uri) > LONGEST_REDIRECT_URI:
        return failed(f"It has {len(uri)} characters; TikTok takes {LONGEST_REDIRECT_URI}.", _SET_REDIRECT)
    if _is_own_by_another_name(uri, settings):
        says = (
            f"{uri} is this server by another name than ACCOUNTS_PUBLIC_URL: browsers come back without their cookie."
        )
        return failed(says, "Use one name for both, and register that at TikTok.")
    return _desktop(uri) if settings.tiktok_login_platform == "desktop" else _web(uri, settings)


def _is_own_by_another_name(uri: str, settings: Settings) -> bool:
    """Whether a browser begins under one name, and is sent back to another one."""
    try:
        back, begun = urlsplit(uri), urlsplit(settings.public_url)
        names = {back.hostname, begun.hostname}
        same_machine = names <= {"localhost", "127.0.0.1", "::1"} and back.port == begun.port
    except ValueError:
        return False
    is_own = back.hostname in settings.allowed_hosts or same_machine
    return is_own and len(names) > 1 and back.path.endswith(CALLBACK_PATH)


def _desktop(uri: str) -> Finding:
    try:
        parts = urlsplit(uri)
        fits = parts.hostname in ("localhost", "127.0.0.1") and parts.port is not None
    except ValueError:
        fits = False
    if not fits:
        return failed(f"{uri} is none of a desktop app: localhost or 127.0.0.1, with a port.", _SET_REDIRECT)
    return ok(f"{uri}, as a desktop app's.")


def _web(uri: str, settings: Settings) -> Finding:
    if uri.startswith("https://"):
        return ok(f"{uri}, as a web app's.")
    if settings.environment == "development":
        return warning(f"{uri} is http, which TikTok refuses to web apps; a sandbox takes it.", _SET_REDIRECT)
    return failed(f"{uri} is http; TikTok takes https only from web apps.", _SET_REDIRECT)


async def scopes(settings: Settings) -> Finding:
    asked = settings.tiktok_scopes
    if BASIC_SCOPE not in asked:
        return failed(f"Without {BASIC_SCOPE} nobody can connect an account.", "Add it to ACCOUNTS_TIKTOK_SCOPES.")
    unknown = [scope for scope in asked if scope not in FIELDS_OF_SCOPES]
    if unknown:
        mend = "Remove them from ACCOUNTS_TIKTOK_SCOPES: one that the app is not approved for makes TikTok refuse all."
        return warning(f"Nothing here uses {', '.join(unknown)}.", mend)
    lost = [f"{scope}: {fields}" for scope, fields in WITHOUT_SCOPE.items() if scope not in asked]
    if lost:
        mend = "If the app is approved for them, add them to ACCOUNTS_TIKTOK_SCOPES."
        return warning(f"Always null without their scope — {'; '.join(lost)}.", mend)
    return ok(f"{', '.join(asked)}. The app has to be approved for all of them.")
