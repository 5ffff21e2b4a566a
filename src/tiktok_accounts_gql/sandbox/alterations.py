"""Odd replies to calls that are carried out: with other fields, status, headers or body.

Fields are named by paths: `data.user.likes_count` in a reply of user info, `expires_in` in one of tokens.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """A change of a reply.

    `fields` are set to values, `raw` to text that need not be valid JSON (`NaN`, `1e400`), and those in `remove` are removed.
    `body` replaces the whole, as text or as `body_base64`; `status` and `headers` replace the reply's.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    body: str | None = None
    body_base64: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def apply(self, response: Response) -> Response:
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        body = self._alter_body(bytes(response.body))
        return Response(body, self.status or response.status_code, {**headers, **self.headers})

    def _alter_body(self, body: bytes) -> bytes:
        if self.body_base64 is not None:
            return base64.b64decode(self.body_base64)
        if self.body is not None:
            return self.body.encode()
        values = json.loads(body or b"{}")
        placeholders = {path: uuid4().hex for path in self.raw}
        for path, value in {**self.fields, **placeholders}.items():
            parent, name = _find_parent(values, path)
            parent[name] = value
        for path in self.remove:
            parent, name = _find_parent(values, path)
            parent.pop(name, None)
        text = json.dumps(values)
        for path, placeholder in placeholders.items():
            text = text.replace(f'"{placeholder}"', self.raw[path])
        return text.encode()


def _find_parent(values: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """Return the object that holds the path's last name, and that name. Objects on the way are created."""
    *parents, name = path.split(".")
    for parent in parents:
        child = values.get(parent)
        values[parent] = child if isinstance(child, dict) else {}
        values = values[parent]
    return values, name
