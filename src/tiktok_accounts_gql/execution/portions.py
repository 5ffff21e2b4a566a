"""graphql-core's executor, in portions between which others run.

By itself it writes out all that is there without a pause: 50,000 values, as many as an operation may have, in half a second.
"""

import asyncio
from collections import deque
from typing import Any

from graphql import GraphQLObjectType
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.pyutils import AwaitableOrValue, Path

PORTION = 400  # fields


class PortionedExecutor(ExecutorThrowingOnIncremental):
    """Executes an object's fields in a later turn of the loop once a portion was executed in this one."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._portions = _Portions()

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: None,
    ) -> AwaitableOrValue[dict[str, Any]]:
        portions, size = self._portions, len(grouped_field_set)
        if portions.left <= 0:
            return self._execute_later(parent_type, source_value, path, grouped_field_set)
        portions.left -= size
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    async def _execute_later(
        self, parent_type: GraphQLObjectType, source_value: Any, path: Path | None, fields: GroupedFieldSet
    ) -> dict[str, Any]:
        await self._portions.wait(len(fields))
        found = super().execute_fields(parent_type, source_value, path, fields, None)
        return found if isinstance(found, dict) else await found


class _Portions:
    """`left`: fields that may still be executed without a pause."""

    def __init__(self) -> None:
        self.left = PORTION
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def wait(self, size: int) -> None:
        """For a turn with room; in the order of asking."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._go_on)
        self._waiting.append((turn, size))
        await turn

    def _go_on(self) -> None:
        self.left = PORTION
        while self._waiting and self.left > 0:
            turn, size = self._waiting.popleft()
            if not turn.done():  # whoever waited for it is gone
                self.left -= size
                turn.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
