"""Which media type an answer has, as the GraphQL-over-HTTP specification wants it."""

import mimeparse

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"


def negotiate(accept: str | None) -> str | None:
    """JSON if nothing else is asked for; None if nothing acceptable can be had."""
    return _best([GRAPHQL, JSON], accept)


def wants_page(accept: str | None) -> bool:
    """Whether somebody with a browser asks, rather than a client."""
    return accept is not None and _best([HTML, GRAPHQL, JSON], accept) == HTML


def _best(offers: list[str], accept: str | None) -> str | None:
    """Of equally welcome ones the last."""
    try:
        return mimeparse.best_match(offers, accept or "*/*") or None
    except mimeparse.MimeTypeParseException:
        return None
