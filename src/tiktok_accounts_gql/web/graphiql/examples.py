"""The documents of `operations/`, as GraphiQL offers them.

A document begins with comments `# Title: …`, `# Variables: {…}` (JSON on one line) and `# Order: …`; only the title is
a must. Then come one operation and its fragments. GraphiQL puts the id of the viewer's newest account in place of
`<account id>` in the variables.
"""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

ACCOUNT_ID = "<account id>"

_COMMENT = re.compile(r"# (?P<key>Title|Variables|Order): (?P<value>.+)\n")
_LAST = 1000


@dataclass(frozen=True, kw_only=True)
class Example:
    """One operation, ready to run. `variables` is JSON text, or empty where the operation takes none."""

    name: str
    title: str
    query: str
    variables: str


def load_examples(folder: Traversable | None = None) -> tuple[Example, ...]:
    """In their order. Raises ValueError, naming the file, if one has no title or its variables are no JSON."""
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
        variables=_variables(file, comments.get("Variables", "")),
    )
    return int(comments.get("Order", _LAST)), example


def _variables(file: str, text: str) -> str:
    """A line for each, as it reads best in an editor."""
    try:
        variables = json.loads(text or "{}").items()
    except (ValueError, AttributeError) as error:
        raise ValueError(f"operations/{file}: the variables are no JSON object: {error}") from error
    lines = (f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in variables)
    return "{\n" + ",\n".join(lines) + "\n}" if variables else ""
