"""The shared secret, and what is refused whatever the keys are. `test_jwks.py` has what is about public keys."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from tests.web.forging import (
    AUDIENCE,
    EXPIRED,
    ISSUER,
    MALFORMED,
    MISSING,
    NOT_ACCEPTED,
    SECRET,
    TOO_LARGE,
    Changes,
    by,
    changed,
    claims,
    forged,
    hs256,
    in_seconds,
    public_jwk,
    refusal,
)
from tiktok_accounts_gql.web.authentication import Authenticator, issue_token

LEEWAY = timedelta(seconds=10)
JWKS_URL = EVIL = "https://evil.example.com/jwks.json"
THEIRS = rsa.generate_private_key(65537, 2048)
PEM = THEIRS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SIGNED = hs256(SECRET.get_secret_value().encode())


def shared(header: Changes | None = None, **changed_claims: object) -> str:
    """A token that is good but for the changes, signed with the right secret."""
    return forged(changed({"alg": "HS256", "typ": "JWT"}, header or {}), claims(**changed_claims), SIGNED)


def with_secret(leeway: timedelta = LEEWAY) -> Authenticator:
    return Authenticator(issuer=ISSUER, audience=AUDIENCE, leeway=leeway, secret=SECRET)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(shared(), id="plain"),
        pytest.param(shared({"typ": ...}), id="no typ"),
        pytest.param(shared({"typ": "jwt"}), id="typ in lower case"),
        pytest.param(shared({"typ": "AT+JWT"}), id="access token"),
        pytest.param(shared({"typ": "application/at+jwt"}), id="access token as a media type"),
        pytest.param(shared({"typ": "Application/AT+JWT"}), id="media type in any case"),
        pytest.param(shared({"typ": "application/jwt"}), id="JWT as a media type"),
        pytest.param(shared({"kid": "any: there is one secret"}), id="kid"),
        pytest.param(shared(aud=["another", AUDIENCE]), id="several audiences"),
        pytest.param(shared(exp=in_seconds(3600) + 0.5, nbf=in_seconds(-60)), id="fraction of a second"),
        pytest.param(shared(exp=10**400), id="exp of 400 digits"),
        pytest.param(shared(iat=...), id="no iat"),
        pytest.param(shared(sub="é" * 255), id="longest sub"),
    ],
)
async def test_a_good_token_names_its_viewer(token: str) -> None:
    assert await with_secret().authenticate(f"Bearer {token}") in {"alice", "é" * 255}


async def test_the_scheme_is_case_insensitive() -> None:
    assert await with_secret().authenticate(f"bEARER {shared()}") == "alice"


async def test_a_token_of_exactly_8_kib_is_accepted_and_one_more_byte_is_not() -> None:
    paddings = (shared(padding="x" * n) for n in range(5800, 6100))
    token = next(token for token in paddings if len(token) == 8192)
    assert await with_secret().authenticate(f"Bearer {token}") == "alice"
    assert TOO_LARGE in await refusal(with_secret(), f"Bearer {token}A")


@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        pytest.param(None, MISSING, id="no header"),
        pytest.param("", MISSING, id="empty header"),
        pytest.param("Bearer", MALFORMED, id="no token"),
        pytest.param("Bearer ", MALFORMED, id="empty token"),
        pytest.param("Basic YWxpY2U6c2VjcmV0", MALFORMED, id="other scheme"),
        pytest.param(shared(), MALFORMED, id="no scheme"),
        pytest.param(f"Bearer {shared()} {shared()}", MALFORMED, id="two tokens"),
        pytest.param(f"Bearer {shared()}\n", MALFORMED, id="line feed"),
        pytest.param(f"Bearer {shared()}=", MALFORMED, id="padding"),
        pytest.param(f"Bearer {shared()}.", MALFORMED, id="four parts"),
        pytest.param("Bearer a.b", MALFORMED, id="two parts"),
        pytest.param("Bearer \ud800.b.c", MALFORMED, id="lone surrogate"),
        pytest.param("Bearer ä.b.c", MALFORMED, id="not ASCII"),
        pytest.param("Bearer a.b.c", MALFORMED, id="not base64"),
        pytest.param("Bearer " + forged(b"\xff{", claims(), SIGNED), MALFORMED, id="header is not JSON"),
        pytest.param("Bearer " + forged(["HS256"], claims(), SIGNED), MALFORMED, id="header is a list"),
        pytest.param("Bearer " + forged(b"[" * 3000, claims(), SIGNED), MALFORMED, id="header is deep"),
        pytest.param("Bearer " + "A" * 8193, TOO_LARGE, id="8 KiB and a byte"),
        pytest.param("Bearer " + shared(padding="x" * 1_000_000), TOO_LARGE, id="1 MB"),
    ],
)
async def test_what_is_not_a_bearer_token_is_refused(authorization: str | None, says: str) -> None:
    assert says in await refusal(with_secret(), authorization)


def unsigned(body: bytes) -> bytes:
    del body
    return b""


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(forged({"alg": "none"}, claims(), SIGNED), id="none, signed"),
        pytest.param(shared({"alg": "None"}), id="None"),
        pytest.param(shared({"alg": "nOnE"}), id="nOnE"),
        pytest.param(shared({"alg": ...}), id="no alg"),
        pytest.param(shared({"alg": None}), id="alg null"),
        pytest.param(shared({"alg": ["HS256"]}), id="alg is a list"),
        pytest.param(shared({"alg": {"HS256": 1}}), id="alg is an object"),
        pytest.param(shared({"alg": "HS384"}), id="another HMAC"),
        pytest.param(shared({"alg": "hs256"}), id="alg in lower case"),
        pytest.param(shared({"alg": "RS256"}), id="RS256 with a secret"),
        pytest.param(forged({"alg": "RS256"}, claims(), by(THEIRS)), id="signed with an own key pair"),
        pytest.param(forged({"alg": "HS256"}, claims(), hs256(b"")), id="empty secret"),
        pytest.param(forged({"alg": "HS256"}, claims(), hs256(b"secret")), id="another secret"),
        pytest.param(shared({"typ": "id+jwt"}), id="another typ"),
        *(
            pytest.param(shared({"typ": f"{prefix}{typ}"}), id=f"typ {prefix}{typ}")
            for prefix in ("", "application/")
            for typ in ("dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "oauth-authz-req+jwt")
        ),
        pytest.param(shared({"typ": "application/"}), id="typ application/"),
        pytest.param(shared({"typ": "application/application/at+jwt"}), id="two prefixes"),
        pytest.param(shared({"typ": "text/at+jwt"}), id="at+jwt of another tree"),
        pytest.param(shared(aud=..., client_id="cognito"), id="no audience, but a client"),
        pytest.param(shared({"typ": "JWE"}), id="typ JWE"),
        pytest.param(shared({"typ": None}), id="typ null"),
        pytest.param(shared({"typ": ["JWT"]}), id="typ is a list"),
        pytest.param(shared({"crit": ["exp"], "exp": 1}), id="unknown crit"),
        pytest.param(shared({"crit": ["b64"], "b64": True}), id="crit b64"),
        pytest.param(shared({"crit": []}), id="empty crit"),
        pytest.param(shared({"crit": None}), id="crit null"),
        pytest.param(shared({"jwk": public_jwk(THEIRS)}), id="embedded jwk"),
        pytest.param(shared({"jwk": None}), id="jwk null"),
        pytest.param(shared({"jku": EVIL}), id="jku"),
        pytest.param(shared({"x5u": EVIL}), id="x5u"),
        pytest.param(shared({"x5c": ["MII="]}), id="x5c"),
        pytest.param(shared({"kid": 1}), id="kid is a number"),
        pytest.param(shared({"kid": None}), id="kid null"),
        pytest.param(shared({"kid": ["a"]}), id="kid is a list"),
        pytest.param(forged({"alg": "HS256"}, ["alice"], SIGNED), id="claims are a list"),
        pytest.param(forged({"alg": "HS256"}, b"[" * 3000, SIGNED), id="claims are deep"),
        pytest.param(forged({"alg": "HS256"}, b"\xff", SIGNED), id="claims are not JSON"),
        pytest.param(shared(iss="https://id.example.com"), id="issuer without the slash"),
        pytest.param(shared(iss=[ISSUER]), id="issuer is a list"),
        pytest.param(shared(iss=...), id="no issuer"),
        pytest.param(shared(aud="another"), id="another audience"),
        pytest.param(shared(aud=[]), id="empty audience"),
        pytest.param(shared(aud={AUDIENCE: 1}), id="audience is an object"),
        pytest.param(shared(aud=...), id="no audience"),
        pytest.param(shared(exp=...), id="no exp"),
        pytest.param(shared(exp=None), id="exp null"),
        pytest.param(shared(exp="soon"), id="exp is a word"),
        pytest.param(shared(exp=str(in_seconds(3600))), id="exp is text"),
        pytest.param(shared(exp=float("inf")), id="exp is infinite"),
        pytest.param(shared(exp=float("nan")), id="exp is not a number"),
        pytest.param(shared(nbf=in_seconds(3600)), id="nbf in the future"),
        pytest.param(shared(nbf=str(in_seconds(-60))), id="nbf is text"),
        pytest.param(shared(nbf=True), id="nbf is a boolean"),
        pytest.param(shared(iat=in_seconds(3600)), id="iat in the future"),
        pytest.param(shared(iat=str(in_seconds(-60))), id="iat is text"),
        pytest.param(shared(sub=...), id="no sub"),
        pytest.param(shared(sub=None), id="sub null"),
        pytest.param(shared(sub=1), id="sub is a number"),
        pytest.param(shared(sub=["alice"]), id="sub is a list"),
        pytest.param(shared(sub=""), id="sub empty"),
        pytest.param(shared(sub="a" * 256), id="sub too long"),
        pytest.param(shared(sub="al\0ice"), id="sub with NUL"),
        pytest.param(shared(sub="alice\n"), id="sub with a line feed"),
        pytest.param(shared(sub="alice\x85"), id="sub with a C1 control"),
        pytest.param(shared(sub="alice\ud800"), id="sub with a lone surrogate"),
    ],
)
async def test_a_token_that_breaks_a_rule_is_refused(token: str) -> None:
    assert NOT_ACCEPTED in await refusal(with_secret(), f"Bearer {token}")


async def test_an_unsigned_token_is_refused() -> None:
    token = forged({"alg": "none", "typ": "JWT"}, claims(), unsigned)
    assert token.endswith(".")
    assert MALFORMED in await refusal(with_secret(), f"Bearer {token}")


@pytest.mark.parametrize("secret", [PEM.decode(), json.dumps(public_jwk(THEIRS))], ids=["PEM", "JWK"])
def test_a_public_key_is_refused_as_the_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="not a secret"):
        Authenticator(issuer=ISSUER, audience=AUDIENCE, secret=SecretStr(secret))


async def test_leeway_covers_clocks_that_differ() -> None:
    strict, lenient = with_secret(timedelta(0)), with_secret(timedelta(seconds=30))
    for token in (shared(exp=in_seconds(-20)), shared(nbf=in_seconds(20)), shared(iat=in_seconds(20))):
        assert await lenient.authenticate(f"Bearer {token}") == "alice"
        await refusal(strict, f"Bearer {token}")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("exp", -40, EXPIRED), ("nbf", 60, NOT_ACCEPTED), ("iat", 60, NOT_ACCEPTED)],
)
async def test_leeway_ends(name: str, value: int, says: str) -> None:
    token = shared(None, **{name: in_seconds(value)})
    assert says in await refusal(with_secret(timedelta(seconds=30)), f"Bearer {token}")


async def test_that_a_forged_token_expired_is_not_told() -> None:
    token = forged({"alg": "HS256"}, claims(exp=1), hs256(b"another secret"))
    assert NOT_ACCEPTED in await refusal(with_secret(), f"Bearer {token}")


async def test_a_refusal_never_repeats_the_token() -> None:
    headers = [shared({name: "MARKER"}) for name in ("alg", "typ", "jku", "crit")]
    bodies = [shared(None, **{name: "MARKER"}) for name in ("iss", "aud", "exp", "nbf", "iat")]
    for token in (*headers, *bodies, shared(sub="MARKER\n"), shared(exp=1), "MARKER.MARKER", "MARKER" * 8192):
        message = await refusal(with_secret(), f"Bearer {token}")
        assert "MARKER" not in message
        assert not [part for part in token.split(".") if part in message]


async def test_an_identity_lasts_as_long_as_its_token() -> None:
    exp = in_seconds(60)
    identity = await with_secret().identify(f"Bearer {shared(exp=exp)}")
    assert (identity.viewer_id, identity.expires_at) == ("alice", datetime.fromtimestamp(exp, UTC))
    eternal = await with_secret().identify(f"Bearer {shared(exp=10**400)}")
    assert eternal.expires_at.year == 9999


@pytest.mark.parametrize("secret", ["", "x" * 31, "é" * 15])
def test_a_secret_under_32_bytes_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Authenticator(issuer=ISSUER, audience=AUDIENCE, secret=SecretStr(secret))
    with pytest.raises(ValueError, match="at least 32 bytes"):
        issue_token(SecretStr(secret), subject="alice", issuer=ISSUER, audience=AUDIENCE, lifetime=timedelta(1))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"secret": None}, id="neither secret nor URL"),
        pytest.param({"jwks_url": JWKS_URL}, id="both secret and URL"),
        pytest.param({"issuer": ""}, id="no issuer"),
        pytest.param({"audience": ""}, id="no audience"),
        pytest.param({"leeway": timedelta(seconds=31)}, id="long leeway"),
        pytest.param({"leeway": timedelta(seconds=-1)}, id="negative leeway"),
        pytest.param({"secret": None, "jwks_url": JWKS_URL, "algorithms": ["HS256"]}, id="HMAC with public keys"),
        pytest.param({"secret": None, "jwks_url": JWKS_URL, "algorithms": ["none"]}, id="algorithm none"),
        pytest.param({"secret": None, "jwks_url": JWKS_URL, "algorithms": []}, id="no algorithm"),
    ],
)
def test_a_configuration_that_is_not_safe_is_refused(changes: Changes) -> None:
    good: Changes = {"issuer": ISSUER, "audience": AUDIENCE, "secret": SECRET}
    Authenticator(**good)
    with pytest.raises(ValueError, match=r"needed|must be|can be"):
        Authenticator(**(good | changes))


async def test_an_issued_token_is_accepted_until_its_end() -> None:
    def issue(lifetime: timedelta) -> str:
        return issue_token(SECRET, subject="alice", issuer=ISSUER, audience=AUDIENCE, lifetime=lifetime)

    assert await with_secret().authenticate(f"Bearer {issue(timedelta(minutes=1))}") == "alice"
    assert EXPIRED in await refusal(with_secret(), f"Bearer {issue(timedelta(minutes=-1))}")


@pytest.mark.parametrize("subject", ["", "a" * 256, "al\0ice", "\ud800"], ids=["empty", "long", "NUL", "surrogate"])
def test_no_token_is_issued_that_would_be_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        issue_token(SECRET, subject=subject, issuer=ISSUER, audience=AUDIENCE, lifetime=timedelta(1))
