"""Which media type an answer has, as the GraphQL-over-HTTP specification wants it."""

from functools import lru_cache

import mimeparse

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
PARTS = "multipart/mixed"
_KNOWN = 64  # clients say the same again and again


@lru_cache(maxsize=_KNOWN)
def negotiate(accept: str | None) -> str | None:
    """JSON if nothing else is asked for; None if nothing acceptable can be had."""
    return _best([GRAPHQL, JSON], accept)


@lru_cache(maxsize=_KNOWN)
def wants_page(accept: str | None) -> bool:
    """Whether somebody with a browser asks, rather than a client."""
    return accept is not None and _best([HTML, GRAPHQL, JSON], accept) == HTML


@lru_cache(maxsize=_KNOWN)
def wants_parts(accept: str | None) -> bool:
    """Whether a subscription may be answered in parts, as Apollo's clients ask for it."""
    for one in (accept or "").split(","):
        try:
            kind, subtype, parameters = mimeparse.parse_mime_type(one.strip())
        except mimeparse.MimeTypeParseException:
            continue
        named = {name.lower(): value.strip('"') for name, value in parameters.items()}
        if f"{kind}/{subtype}" == PARTS and named.get("subscriptionspec") == "1.0":
            return True
    return False


def _best(offers: list[str], accept: str | None) -> str | None:
    """Of equally welcome ones the last."""
    try:
        return mimeparse.best_match(offers, accept or "*/*") or None
    except mimeparse.MimeTypeParseException:
        return None
