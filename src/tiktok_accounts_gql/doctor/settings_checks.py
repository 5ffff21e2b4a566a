"""Checks of settings: the sign-in, and rules of TikTok's that it would report only later, to one user at a time.

Sources: TikTok for Developers, "Login Kit for Web", "Login Kit for Desktop", "TikTok API Scopes".
"""

from urllib.parse import urlsplit

import httpx

from tiktok_accounts_gql.doctor.context import CheckContext
from tiktok_accounts_gql.doctor.results import Finding, failed, ok, skipped, warning
from tiktok_accounts_gql.settings import CALLBACK_PATH, Settings
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES
from tiktok_accounts_gql.web.jwks import JwksKeys

MAX_REDIRECT_URI_LENGTH = 511
NULL_WITHOUT_SCOPE = {
    "user.info.profile": "username, bioDescription, profileUrl and isVerified",
    "user.info.stats": "all counters, statsHistory, growth and the totals",
}
_SET_REDIRECT = "Set ACCOUNTS_TIKTOK_REDIRECT_URI or ACCOUNTS_PUBLIC_URL, and register the same at TikTok."


async def check_sign_in(context: CheckContext) -> Finding:
    settings = context.settings
    if settings.jwt_secret is not None:
        length = len(settings.jwt_secret.get_secret_value().encode())
        return ok(f"Tokens are signed by a secret of {length} bytes (HS256).")
    if settings.jwt_jwks_url is None:
        return skipped("Neither a secret nor a JWKS URL is set.")
    jwks = JwksKeys(settings.jwt_jwks_url)
    try:
        algorithms = await jwks.list_algorithms()
    except ValueError as error:
        return failed(f"The key set is invalid: {error}", "Fix ACCOUNTS_JWT_JWKS_URL, or what is served there.")
    except (httpx.HTTPError, TimeoutError, RecursionError):
        return failed("The key set cannot be fetched.", "Fix ACCOUNTS_JWT_JWKS_URL, or let this machine reach it.")
    finally:
        await jwks.aclose()
    if not algorithms:
        return failed("The key set holds no key for signatures.", "Serve one for RS256, ES256 or EdDSA.")
    return ok(f"The key set has keys for {', '.join(algorithms)}.")


async def check_origins(context: CheckContext) -> Finding:
    """Check that origins are written as browsers send them: they are compared as whole texts."""
    origins = context.settings.allowed_origins
    invalid = [origin for origin in origins if not _is_origin(origin)]
    if invalid:
        return failed(
            f"No origins: {', '.join(invalid)}.",
            "Write them in ACCOUNTS_ALLOWED_ORIGINS as browsers do: https://app.example.com, without a path or slash.",
        )
    return ok(f"Pages of {', '.join(origins) or 'no other site'} may call this API.")


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.netloc) and "@" not in parts.netloc
    return is_web and text == f"{parts.scheme}://{parts.netloc}".lower()


async def check_redirect_uri(context: CheckContext) -> Finding:
    settings = context.settings
    uri = settings.redirect_uri
    if "?" in uri or "#" in uri:
        return failed(f"{uri} has a query or a fragment; TikTok takes static ones only.", _SET_REDIRECT)
    if len(uri) > MAX_REDIRECT_URI_LENGTH:
        return failed(f"It has {len(uri)} characters; TikTok takes {MAX_REDIRECT_URI_LENGTH}.", _SET_REDIRECT)
    if _is_this_server_by_another_name(uri, settings):
        return failed(
            f"{uri} is this server by another name than ACCOUNTS_PUBLIC_URL: browsers come back without their cookie.",
            "Use one name for both, and register that at TikTok.",
        )
    if settings.tiktok_login_platform == "desktop":
        return _check_desktop_redirect(uri)
    return _check_web_redirect(uri, settings)


def _is_this_server_by_another_name(uri: str, settings: Settings) -> bool:
    """Return whether a browser starts under one host name of this server and is sent back to another one."""
    try:
        redirect, public = urlsplit(uri), urlsplit(settings.public_url)
        hosts = {redirect.hostname, public.hostname}
        same_machine = hosts <= {"localhost", "127.0.0.1", "::1"} and redirect.port == public.port
    except ValueError:
        return False
    is_this_server = redirect.hostname in settings.allowed_hosts or same_machine
    return is_this_server and len(hosts) > 1 and redirect.path.endswith(CALLBACK_PATH)


def _check_desktop_redirect(uri: str) -> Finding:
    try:
        parts = urlsplit(uri)
        is_loopback = parts.hostname in ("localhost", "127.0.0.1") and parts.port is not None
    except ValueError:
        is_loopback = False
    if not is_loopback:
        return failed(f"{uri} is none of a desktop app: localhost or 127.0.0.1, with a port.", _SET_REDIRECT)
    return ok(f"{uri}, as a desktop app's.")


def _check_web_redirect(uri: str, settings: Settings) -> Finding:
    if uri.startswith("https://"):
        return ok(f"{uri}, as a web app's.")
    if settings.environment == "development":
        return warning(f"{uri} is http, which TikTok refuses to web apps; a sandbox takes it.", _SET_REDIRECT)
    return failed(f"{uri} is http; TikTok takes https only from web apps.", _SET_REDIRECT)


async def check_scopes(context: CheckContext) -> Finding:
    scopes = context.settings.tiktok_scopes
    if BASIC_SCOPE not in scopes:
        return failed(f"Without {BASIC_SCOPE} nobody can connect an account.", "Add it to ACCOUNTS_TIKTOK_SCOPES.")
    unknown = [scope for scope in scopes if scope not in FIELDS_OF_SCOPES]
    if unknown:
        fix = "Remove them from ACCOUNTS_TIKTOK_SCOPES: one that the app is not approved for makes TikTok refuse all."
        return warning(f"Nothing here uses {', '.join(unknown)}.", fix)
    null_fields = [f"{scope}: {fields}" for scope, fields in NULL_WITHOUT_SCOPE.items() if scope not in scopes]
    if null_fields:
        fix = "If the app is approved for them, add them to ACCOUNTS_TIKTOK_SCOPES."
        return warning(f"Always null without their scope — {'; '.join(null_fields)}.", fix)
    return ok(f"{', '.join(scopes)}. The app has to be approved for all of them.")
