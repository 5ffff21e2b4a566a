"""Known queries are answered by plans, without the general executor.

A plan belongs to an operation of a document and to one answer to each of its @skip and @include. It is compiled from the
schema and the selection sets, which graphql-core merges (`collect_fields`). It has

- the root fields, with their resolvers as they are (`calls.py`), all of them under way at the same time;
- a function for each value that is waited for (`projecting.py`): from what a resolver returned to dicts and lists. It is
  generated Python: a loop for a list, a read for an attribute, a call for a resolver, a check for a type (`leaves.py`);
- the fields below the root whose resolvers have to be awaited. A function leaves them empty and notes them. When it is
  done, all of them are asked at once, so that loaders batch; what they return goes through a function of their own.

The filled dicts become bytes. Arguments are coerced by graphql-core, and remembered for equal variables (`operations.py`).

graphql-core stays the reference for data and errors. What a plan cannot express never gets one: mutations, introspection,
other directives. When a resolver raises, or a value is not what the schema says, null where it must not be included, the
plan raises Failed, and graphql-core completes the operation. It is given what the resolvers returned or raised so far
(`Outcomes`), so that no resolver of a root field and none that is awaited runs twice: what it did, an audit event say, was
done once. Resolvers that only compute something of a row may run again.

Which of the two answered, and why, is counted by `engine.py`; so a plan that fails for no reason does not hide behind
answers that are right.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.execution.values import VariableValues

from tiktok_accounts_gql.compiler.calls import Given, Site
from tiktok_accounts_gql.compiler.leaves import to_json
from tiktok_accounts_gql.compiler.needs import Subfields, needs_below
from tiktok_accounts_gql.compiler.projecting import Compiler, Later

Arguments = list[dict[str, Any]]

PORTION = 400  # values that are written out before others run


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a resolver returned or raised for a row. Holds the row, so that no other one gets its id."""

    row: Any
    value: Any
    error: Exception | None
    is_async: bool

    def again(self) -> Any:
        return self._awaited() if self.is_async else self._given()

    async def _awaited(self) -> Any:
        return self._given()

    def _given(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class Outcomes:
    """By row and field: for graphql-core, a middleware that gives them again."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Outcome] = {}

    def note(self, field: int, outcome: _Outcome) -> None:
        self._known[id(outcome.row), field] = outcome

    def resolve(self, resolver: Callable[..., Any], row: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        known = self._known.get((id(row), id(info.field_nodes[0])))
        return resolver(row, info, **arguments) if known is None else known.again()


class Failed(Exception):
    """A plan could not finish. `raised`: a resolver raised; otherwise a value was not what the schema says."""

    def __init__(self, outcomes: Outcomes, *, raised: bool) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.raised = raised


class _Raised(Exception):
    """A resolver raised something; it is among the outcomes."""


class Plan:
    """Raises NotPlannable."""

    def __init__(self, given: Given, roots: GroupedFieldSet, subfields: Subfields) -> None:
        compiler = Compiler(given, subfields)
        self._constants: dict[str, Any] = {}
        self._roots: list[tuple[str, int]] = []
        for key, details in roots.items():
            self._constants[key] = given.query.name
            if details[0].node.name.value != "__typename":
                site = Site(given, given.query, details, None)
                site.needs = needs_below(site.field.type, details, subfields)
                self._roots.append((key, compiler.call(site, details)))
        self.calls, self.completions, self.sites = compiler.calls, compiler.completions, compiler.sites

    def arguments(self, variables: VariableValues) -> Arguments:
        """Of each call. Raises GraphQLError."""
        return [call.arguments(variables) for call in self.calls]

    async def answer(self, context: Any, variables: VariableValues, arguments: Arguments) -> bytes:
        """Raises Failed."""
        outcomes = Outcomes()
        try:
            run = _Run(self, context, variables, arguments, outcomes)
            data = dict(self._constants)
            await _all([run.root(data, *root) for root in self._roots])
            return to_json({"data": data})
        except Exception as error:
            raise Failed(outcomes, raised=isinstance(error, _Raised)) from error


class _Run:
    """One request on its way through a plan."""

    def __init__(
        self, plan: Plan, context: Any, variables: VariableValues, arguments: Arguments, outcomes: Outcomes
    ) -> None:
        self._plan = plan
        self._outcomes = outcomes
        self.bound = [call.bound(given, context, variables) for call, given in zip(plan.calls, arguments, strict=True)]
        self.infos = [site.info(context, variables) for site in plan.sites]

    async def root(self, data: dict[str, Any], key: str, number: int) -> None:
        """A root field with all that is below it."""
        asked: Later = [(data, key, None, number)]
        while asked:
            values = await _all([self._ask(call, row) for _, _, row, call in asked])
            later: Later = []
            written = 0
            for (target, name, _, call), value in zip(asked, values, strict=True):
                target[name] = self._plan.completions[call](value, self, later)
                written += len(value) if isinstance(value, list) else 1
                if written >= PORTION:
                    written = 0
                    await asyncio.sleep(0)
            asked = later

    async def _ask(self, number: int, row: Any) -> Any:
        call = self._plan.calls[number]
        try:
            value = call.ask(self.bound[number], row)
            if call.is_async:
                value = await value
        except Exception as error:
            self._outcomes.note(call.node_id, _Outcome(row, None, error, call.is_async))
            raise _Raised from error
        self._outcomes.note(call.node_id, _Outcome(row, value, None, call.is_async))
        return value


async def _all(waiting: list[Any]) -> list[Any]:
    """All at the same time, and each to its end. Raises what the first of them in order raised."""
    if len(waiting) == 1:
        return [await waiting[0]]
    found = await asyncio.gather(*waiting, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
