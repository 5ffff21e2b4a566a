"""HTML pages for browsers: self-contained, so that nothing else is loaded."""

from html import escape
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse

GREEN, RED = "#2f9e5f", "#fe2c55"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": f"{_POLICY} 'none'",
}
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
body { font: 18px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 18vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h1::before { content: ""; display: block; width: 3rem; height: .4rem; margin-bottom: 1rem; border-radius: .2rem;
  background: $colour; }
p { margin: 0 0 .75rem; color: color-mix(in srgb, currentcolor 80%, transparent); overflow-wrap: anywhere; }
b { color: CanvasText; }
.who { padding: .75rem 1rem; border-left: .2rem solid $colour; background: color-mix(in srgb, currentcolor 6%, transparent); }
.who b, .who span { display: block; }
button { font: inherit; font-weight: 600; margin-top: .5rem; padding: .6rem 1.2rem; border: 0; border-radius: .4rem;
  background: #c9184a; color: #fff; cursor: pointer; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
"""
)


def html_page(
    title: str, body: str, colour: str, status: int = 200, *, form_action: str = "'none'", referrer: str = "no-referrer"
) -> HTMLResponse:
    """Return a page. `body`: HTML. `form_action`: for the Content-Security-Policy. `referrer`: the Referrer-Policy."""
    headers = {**HEADERS, "Content-Security-Policy": f"{_POLICY} {form_action}", "Referrer-Policy": referrer}
    content = _PAGE.substitute(title=escape(title), body=body, colour=colour)
    return HTMLResponse(content, status, headers=headers)


def message_page(title: str, text: str, colour: str, status: int) -> HTMLResponse:
    """Return a page with one paragraph of plain text."""
    return html_page(title, f"<p>{escape(text)}</p>", colour, status)


def find_parameter(request: Request, name: str) -> str | None:
    """Return a query parameter; None if it is absent, empty or repeated (RFC 6749, section 3.1)."""
    values = {value for value in request.query_params.getlist(name) if value}
    return values.pop() if len(values) == 1 else None
