"""The saved examples of GraphiQL: the documents of `operations/`.

A document begins with comments `# Title: …`, `# Variables: {…}` (JSON on one line) and `# Order: …`; only the title is
required. Then come one operation and its fragments. GraphiQL puts the id of the viewer's newest account in place of
`<account id>` in the variables.
"""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

ACCOUNT_ID = "<account id>"

_COMMENT = re.compile(r"# (?P<key>Title|Variables|Order): (?P<value>.+)\n")
_DEFAULT_ORDER = 1000  # behind all documents that have an order


@dataclass(frozen=True, kw_only=True)
class Example:
    """An operation that can be run. `variables`: JSON text, empty if the operation has none."""

    name: str
    title: str
    query: str
    variables: str


def load_examples(folder: Traversable | None = None) -> tuple[Example, ...]:
    """Return the examples in their order. Raises ValueError with the file's name for one without a title or with invalid JSON."""
    documents = (folder or files("tiktok_accounts_gql") / "operations").iterdir()
    parsed = (_parse(file.name, file.read_text("utf-8")) for file in documents if file.name.endswith(".graphql"))
    return tuple(example for _, example in sorted(parsed, key=lambda pair: (pair[0], pair[1].name)))


def _parse(file: str, text: str) -> tuple[int, Example]:
    comments: dict[str, str] = {}
    while comment := _COMMENT.match(text):
        comments[comment["key"]] = comment["value"].strip()
        text = text[comment.end() :]
    if "Title" not in comments:
        raise ValueError(f"operations/{file} has no first line such as '# Title: List accounts'")
    example = Example(
        name=file.removesuffix(".graphql"),
        title=comments["Title"],
        query=text.strip() + "\n",
        variables=_format_variables(file, comments.get("Variables", "")),
    )
    return int(comments.get("Order", _DEFAULT_ORDER)), example


def _format_variables(file: str, text: str) -> str:
    """Return the variables as JSON with one line for each."""
    try:
        variables = json.loads(text or "{}").items()
    except (ValueError, AttributeError) as error:
        raise ValueError(f"operations/{file}: the variables are no JSON object: {error}") from error
    lines = (f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in variables)
    return "{\n" + ",\n".join(lines) + "\n}" if variables else ""
