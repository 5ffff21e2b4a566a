"""Checks of TikTok's reply to the probe."""

from tiktok_accounts_gql.doctor.context import CheckContext
from tiktok_accounts_gql.doctor.results import Finding, failed, ok, skipped, warning
from tiktok_accounts_gql.tiktok.errors import InvalidClient, InvalidGrant, Unavailable, UnreadableReply


async def check_tiktok(context: CheckContext) -> Finding:
    url, probe = context.settings.tiktok_api_url, context.probe
    if probe.status is None:
        return failed(
            f"{url} does not answer.",
            "Let this machine reach it; without a sandbox ACCOUNTS_TIKTOK_API_URL is not set.",
        )
    if isinstance(probe.error, (Unavailable, UnreadableReply)):
        return failed(
            f"{url} answers with {probe.status}, and not as documented.",
            "Try again later; if it stays, look at TikTok's status page and ACCOUNTS_TIKTOK_API_URL.",
        )
    return ok(f"{url} answers.")


async def check_client_key(context: CheckContext) -> Finding:
    """Check the client key and its secret. TikTok checks them before the token: with InvalidGrant both are right."""
    error = context.probe.error
    if isinstance(error, InvalidGrant):
        return ok("TikTok accepts the client key and its secret.")
    if isinstance(error, InvalidClient):
        fix = "Copy ACCOUNTS_TIKTOK_CLIENT_KEY and …_CLIENT_SECRET from TikTok's developer portal."
        return failed("TikTok does not accept the client key or its secret.", fix)
    if error is None or isinstance(error, (Unavailable, UnreadableReply)):
        return skipped("TikTok did not say.")
    return warning(f"TikTok did not say: {error.message}", "Try again in a minute.")
