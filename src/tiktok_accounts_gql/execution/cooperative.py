"""graphql-core's executor in time slices, between which other tasks of the event loop run.

By itself it completes everything that is there without a pause: 50,000 values, the most that an operation may have, take
it half a second.
"""

import asyncio
from collections import deque
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.pyutils import AwaitableOrValue, Path

from tiktok_accounts_gql.compiler.internals import ExecutorThrowingOnIncremental, FieldDetailsList, GroupedFieldSet

FIELDS_PER_SLICE = 1000  # some 6 ms
LONG_LIST = 50  # items


class CooperativeExecutor(ExecutorThrowingOnIncremental):
    """Continues in a later iteration of the event loop once a slice was used up in this one.

    Awaited values are completed one after the other. Where one value has many objects, each object's fields wait too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slices = _TimeSlices()

    async def complete_awaitable_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        value = self._await_in_slice(result)
        return await super().complete_awaitable_value(
            return_type, field_details_list, info, path, value, position_context
        )

    async def _await_in_slice(self, awaitable: Any) -> Any:
        """Await a value. A long list gets a whole slice: otherwise each of its objects would wait, at twice the cost."""
        value = await awaitable
        if isinstance(value, list) and len(value) > LONG_LIST:
            await self._slices.wait(FIELDS_PER_SLICE)
            self._slices.remaining = FIELDS_PER_SLICE
        return value

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: None,
    ) -> AwaitableOrValue[dict[str, Any]]:
        if self._slices.remaining <= 0:
            return self._execute_later(parent_type, source_value, path, grouped_field_set)
        self._slices.remaining -= len(grouped_field_set)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    async def _execute_later(
        self, parent_type: GraphQLObjectType, source_value: Any, path: Path | None, fields: GroupedFieldSet
    ) -> dict[str, Any]:
        await self._slices.wait(len(fields))
        data = super().execute_fields(parent_type, source_value, path, fields, None)
        return data if isinstance(data, dict) else await data


class _TimeSlices:
    """Hands out slices in the order of asking. `remaining` fields may still be executed in the current one."""

    def __init__(self) -> None:
        self.remaining = FIELDS_PER_SLICE
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    async def wait(self, field_count: int) -> None:
        """Wait for a slice with room for these fields."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._queue:
            loop.call_soon(self._start_slice)
        self._queue.append((future, field_count))
        await future

    def _start_slice(self) -> None:
        self.remaining = FIELDS_PER_SLICE
        while self._queue and self.remaining > 0:
            future, field_count = self._queue.popleft()
            if not future.done():  # it is done if its task was canceled
                self.remaining -= field_count
                future.set_result(None)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._start_slice)
