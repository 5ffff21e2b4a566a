"""`tiktok-accounts token`: a JWT for a viewer."""

from typing import Annotated

import typer

from tiktok_accounts_gql.cli.console import report_errors


@report_errors
def token(
    viewer: Annotated[str, typer.Option(help="Whose token: the JWT's `sub`.")],
    expires: Annotated[str, typer.Option(help="Lifetime, such as 30m, 1h or 7d.")] = "1h",
) -> None:
    from tiktok_accounts_gql.durations import parse_duration
    from tiktok_accounts_gql.settings import SettingsInvalid, load_settings
    from tiktok_accounts_gql.web.authentication import issue_token

    settings = load_settings()
    if settings.jwt_secret is None:
        raise SettingsInvalid("ACCOUNTS_JWT_SECRET is not set: tokens come from the owner of ACCOUNTS_JWT_JWKS_URL.")
    try:
        lifetime = parse_duration(expires)
    except ValueError as error:
        raise typer.BadParameter(f"It {error}.", param_hint="--expires") from None
    typer.echo(
        issue_token(
            settings.jwt_secret,
            subject=viewer,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            lifetime=lifetime,
        )
    )
