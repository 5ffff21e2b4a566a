"""graphql-core's executor, in portions between which others run.

By itself it writes out all that is there without a pause: 50,000 values, as many as an operation may have, in half a second.
"""

import asyncio
from collections import deque
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.pyutils import AwaitableOrValue, Path

PORTION = 1000  # fields: some 6 ms
LONG_LIST = 50


class PortionedExecutor(ExecutorThrowingOnIncremental):
    """Goes on in a later turn of the loop once a portion was executed in this one.

    What was waited for is completed one after the other; an object's fields wait as well where one value has many.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._portions = _Portions()

    async def complete_awaitable_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        in_turn = self._in_turn(result)
        return await super().complete_awaitable_value(
            return_type, field_details_list, info, path, in_turn, position_context
        )

    async def _in_turn(self, result: Any) -> Any:
        """A long list has a turn of its own: each of its objects would wait for one otherwise, at the same cost again."""
        value = await result
        if isinstance(value, list) and len(value) > LONG_LIST:
            await self._portions.wait(PORTION)
            self._portions.left = PORTION
        return value

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: None,
    ) -> AwaitableOrValue[dict[str, Any]]:
        if self._portions.left <= 0:
            return self._execute_later(parent_type, source_value, path, grouped_field_set)
        self._portions.left -= len(grouped_field_set)
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
