"""Plans answer known queries without graphql-core's executor.

A plan belongs to one operation of a document and to one value of each of its @skip and @include, which are folded into it.
It is compiled from the schema and the selection sets, as graphql-core merges them (`collect_fields`). It consists of

- calls of resolvers (`resolver_calls.py`). Those of the root fields run concurrently;
- for each resolver that is awaited, a generated function (`codegen.py`) that turns what it returned into dicts and lists;
- the fields below the root whose resolvers are awaited. A generated function leaves them empty and lists them as pending.
  All pending fields of a level are resolved concurrently, so that loaders batch.

The dicts then become JSON. Arguments are coerced by graphql-core, and cached for equal variables (`operations.py`).

graphql-core stays the reference for data and errors. What a plan cannot express is not compiled: mutations, introspection,
other directives. When a resolver raises, or a value is not what the schema says, or null where it must not be, the plan
raises PlanFailed, and graphql-core executes the operation. It takes over what the resolvers returned or raised so far
(`ResolverResults`), so that no resolver of a root field and no awaited one runs twice, and what it did, such as an audit
event, is done once. Resolvers that only compute something from a row may run again.

`execution/engine.py` counts which of the two answered, and why: otherwise a plan that always fails would go unnoticed, as
the answers are right.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo, VariableValues

from tiktok_accounts_gql.compiler.codegen import CodeGenerator, PendingField
from tiktok_accounts_gql.compiler.internals import GroupedFieldSet
from tiktok_accounts_gql.compiler.lookahead import build_lookahead
from tiktok_accounts_gql.compiler.resolver_calls import SelectedField
from tiktok_accounts_gql.compiler.result_coercion import to_json

Arguments = list[dict[str, Any]]  # of each call, by its index

VALUES_PER_SLICE = 400  # completed before other tasks of the event loop run


@dataclass(frozen=True, slots=True)
class ResolverResult:
    """What a resolver returned or raised for a row. It references the row, so that no other object gets the row's id."""

    row: Any
    value: Any
    error: Exception | None
    is_awaited: bool

    def replay(self) -> Any:
        """Return or raise the same, from an awaitable if the resolver was awaited."""
        return self._replay_later() if self.is_awaited else self._replay_now()

    async def _replay_later(self) -> Any:
        return self._replay_now()

    def _replay_now(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class ResolverResults:
    """Results by row and field: a middleware of graphql-core that replays them instead of calling resolvers again."""

    def __init__(self) -> None:
        self._results: dict[tuple[int, int], ResolverResult] = {}

    def add(self, node_id: int, result: ResolverResult) -> None:
        self._results[id(result.row), node_id] = result

    def resolve(self, resolver: Callable[..., Any], row: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        result = self._results.get((id(row), id(info.field_nodes[0])))
        return resolver(row, info, **arguments) if result is None else result.replay()


class PlanFailed(Exception):
    """A plan could not answer: a resolver raised (`is_resolver_error`), or a value was not what the schema says."""

    def __init__(self, results: ResolverResults, *, is_resolver_error: bool) -> None:
        super().__init__()
        self.results = results
        self.is_resolver_error = is_resolver_error


class _ResolverError(Exception):
    """A resolver raised; what it raised is among the results."""


class Plan:
    """The compiled form of a query. Raises CompileError where it cannot be compiled."""

    def __init__(self, generator: CodeGenerator, root_groups: GroupedFieldSet) -> None:
        unit = generator.unit
        self._type_names: dict[str, Any] = {}
        self._roots: list[tuple[str, int]] = []  # key and index of the call
        for key, details in root_groups.items():
            self._type_names[key] = unit.root_type.name  # or a placeholder that keeps the order of keys
            if details[0].node.name.value != "__typename":
                selected = SelectedField(unit, unit.root_type, details, None)
                selected.lookahead = build_lookahead(selected.field.type, details, generator.collect_subfields)
                self._roots.append((key, generator.compile_call(selected, details)))
        self.calls = generator.calls
        self.completers = generator.completers
        self.info_builders = generator.info_builders

    def coerce_arguments(self, variables: VariableValues) -> Arguments:
        """Raise GraphQLError, or whatever a scalar raises, for invalid arguments."""
        return [call.coerce_arguments(variables) for call in self.calls]

    async def execute(self, context: Any, variables: VariableValues, arguments: Arguments) -> bytes:
        """Return the whole answer as JSON. Raise PlanFailed."""
        results = ResolverResults()
        try:
            execution = _Execution(self, context, variables, arguments, results)
            data = self._type_names.copy()
            await _gather([execution.complete_root(data, key, index) for key, index in self._roots])
            return to_json({"data": data})
        except Exception as error:
            raise PlanFailed(results, is_resolver_error=isinstance(error, _ResolverError)) from error


class _Execution:
    """The execution of a plan for one request: its resolvers with their arguments, and the infos that they take."""

    def __init__(
        self, plan: Plan, context: Any, variables: VariableValues, arguments: Arguments, results: ResolverResults
    ) -> None:
        self._plan = plan
        self._results = results
        self.resolvers = [
            call.bind(call_arguments, context, variables)
            for call, call_arguments in zip(plan.calls, arguments, strict=True)
        ]
        self.infos = [builder.build_info(context, variables) for builder in plan.info_builders]

    async def complete_root(self, data: dict[str, Any], key: str, call_index: int) -> None:
        """Resolve a root field and everything below it, level by level."""
        level: list[PendingField] = [(data, key, None, call_index)]
        while level:
            values = await _gather([self._resolve(index, row) for _, _, row, index in level])
            pending: list[PendingField] = []
            value_count = 0
            for (target, name, _, index), value in zip(level, values, strict=True):
                target[name] = self._plan.completers[index](value, self, pending)
                value_count += len(value) if isinstance(value, list) else 1
                if value_count >= VALUES_PER_SLICE:
                    value_count = 0
                    await asyncio.sleep(0)
            level = pending

    async def _resolve(self, index: int, row: Any) -> Any:
        call = self._plan.calls[index]
        try:
            value = call.invoke(self.resolvers[index], row)
            if call.is_awaited:
                value = await value
        except Exception as error:
            self._results.add(call.node_id, ResolverResult(row, None, error, call.is_awaited))
            raise _ResolverError from error
        self._results.add(call.node_id, ResolverResult(row, value, None, call.is_awaited))
        return value


async def _gather(coroutines: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run all of them concurrently to their end. Raise what the first of them in order raised."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
