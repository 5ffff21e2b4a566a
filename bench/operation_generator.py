"""Random operations of the schema, and random changes of them, for the search of `costliest.py`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
)

Literals = Mapping[str, Sequence[str]]  # by the name of a scalar, an argument, or "Type.field.argument"

SIZES = (1, 2, 5, 10, 20, 49, 50, 50, 50, 50, 51)
FEW = (0, 1, 2)
MUTATIONS = frozenset({"cancelSyncJob"})  # which changes nothing, as the jobs are canceled
LISTS = frozenset({"statsHistory", "results", "edges"})


@dataclass(slots=True, kw_only=True)
class Selection:
    """A field of the named `type`, or an inline fragment on it, whose `name` is empty."""

    name: str
    type: str
    arguments: dict[str, str] = field(default_factory=dict)
    children: list["Selection"] = field(default_factory=list)

    def print(self, aliases: Iterator[int], used_keys: set[str]) -> str:
        """Return its text in a document, with an alias if its name is among the `used_keys`."""
        alias = f"a{next(aliases)}: " if self.name in used_keys else ""
        used_keys.add(self.name)
        arguments = ", ".join(f"{name}: {value}" for name, value in self.arguments.items())
        head = f"{alias}{self.name}" + (f"({arguments})" if arguments else "") if self.name else f"... on {self.type}"
        return f"{head} {_print_selections(self.children, aliases)}" if self.children else head

    def walk(self) -> Iterator["Selection"]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(slots=True, kw_only=True)
class GeneratedOperation:
    """A query or a mutation; `str` prints its document."""

    root: Selection

    def __str__(self) -> str:
        kind = "mutation" if self.root.type == "Mutation" else "query"
        return f"{kind} {_print_selections(self.root.children, count())}"


class OperationGenerator:
    """Generates operations whose scalars are chosen from the literals."""

    def __init__(self, schema: GraphQLSchema, literals: Literals, random: Random) -> None:
        self._schema = schema
        self._literals = literals
        self._random = random
        self._changes: tuple[Callable[[Selection], None], ...] = (
            self._add,
            self._add,
            self._fill,
            self._repeat,
            self._change_arguments,
            self._remove,
        )

    def generate(self) -> GeneratedOperation:
        root = "Mutation" if self._random.random() < 0.1 else "Query"
        operation = GeneratedOperation(root=Selection(name="", type=root))
        self._add(operation.root)
        return operation

    def mutate(self, operation: GeneratedOperation) -> GeneratedOperation:
        """Return a changed copy, which may exceed the limits."""
        copy = deepcopy(operation)
        for _ in range(self._random.choice((1, 1, 2, 3, 5))):
            parents = [selection for selection in copy.root.walk() if selection.children]
            if not parents:
                return self.generate()
            self._random.choice(self._changes)(self._random.choice(parents))
        return copy if copy.root.children else self.generate()

    def _add(self, parent: Selection) -> None:
        name = self._random.choice(self._names(parent.type))
        parent.children.append(self._selection(parent.type, name))

    def _fill(self, parent: Selection) -> None:
        """Add all fields that have no selection set."""
        type_ = self._schema.type_map[parent.type]
        present = {child.name for child in parent.children}
        for name in self._names(parent.type):
            definition = getattr(type_, "fields", {}).get(name)
            if name in present or definition is None:
                continue
            if not is_composite_type(get_named_type(definition.type)):
                parent.children.append(self._selection(parent.type, name))

    def _repeat(self, parent: Selection) -> None:
        if parent.children:
            child = self._random.choice(parent.children)
            for _ in range(self._random.choice((1, 1, 4, 20))):
                parent.children.append(deepcopy(child))

    def _change_arguments(self, parent: Selection) -> None:
        child = self._random.choice(parent.children) if parent.children else None
        if child is not None and child.name in getattr(self._schema.type_map[parent.type], "fields", {}):
            child.arguments = self._arguments(parent.type, child.name)

    def _remove(self, parent: Selection) -> None:
        if len(parent.children) > 1:
            parent.children.pop(self._random.randrange(len(parent.children)))

    def _names(self, type_: str) -> list[str]:
        definition = self._schema.type_map[type_]
        if type_ == "Mutation":
            return sorted(MUTATIONS)
        if isinstance(definition, GraphQLInterfaceType):
            return [f"... {possible.name}" for possible in self._schema.get_possible_types(definition)]
        return list(getattr(definition, "fields", {}))

    def _selection(self, parent: str, name: str) -> Selection:
        """Return a valid selection: one of an object has a selection set."""
        if name.startswith("... "):
            selection = Selection(name="", type=name.removeprefix("... "))
        else:
            type_ = get_named_type(self._fields(parent)[name].type)
            selection = Selection(name=name, type=type_.name, arguments=self._arguments(parent, name))
            if not is_composite_type(type_):
                return selection
        self._add_below(selection)
        return selection

    def _add_below(self, selection: Selection) -> None:
        """Add to a selection set. Lists are preferred, because they cost the most."""
        names = self._names(selection.type)
        lists = [name for name in names if name in LISTS]
        self._add(selection)
        if lists and self._random.random() < 0.7:
            selection.children.append(self._selection(selection.type, self._random.choice(lists)))

    def _fields(self, type_: str) -> dict[str, Any]:
        definition = self._schema.type_map[type_]
        assert isinstance(definition, GraphQLObjectType | GraphQLInterfaceType)
        fields: dict[str, Any] = definition.fields
        return fields

    def _arguments(self, parent: str, name: str) -> dict[str, str]:
        arguments: dict[str, str] = {}
        for argument, definition in self._fields(parent)[name].args.items():
            unlikely = argument in ("last", "after", "before", "to")
            is_required = isinstance(definition.type, GraphQLNonNull) and definition.default_value is None
            if is_required or self._random.random() < (0.1 if unlikely else 0.7):
                arguments[argument] = self._value(f"{parent}.{name}.{argument}", definition.type)
        return arguments

    def _value(self, place: str, type_: Any) -> str:
        if isinstance(type_, GraphQLNonNull):
            return self._value(place, type_.of_type)
        if isinstance(type_, GraphQLList):
            sizes = FEW if isinstance(get_named_type(type_), GraphQLEnumType) else SIZES
            return f"[{', '.join(self._value(place, type_.of_type) for _ in range(self._random.choice(sizes)))}]"
        if isinstance(type_, GraphQLEnumType):
            names: list[str] = list(type_.values)
            return self._random.choice(names)
        if isinstance(type_, GraphQLInputObjectType):
            return self._input(type_)
        argument = place.rpartition(".")[2]
        if argument in ("first", "last"):
            return str(self._random.choice(SIZES))
        literals = self._literals.get(place) or self._literals.get(argument) or self._literals[type_.name]
        return self._random.choice(literals)

    def _input(self, type_: GraphQLInputObjectType) -> str:
        names = [
            name
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull) or self._random.random() < 0.4
        ]
        return f"{{{', '.join(f'{name}: {self._value(name, type_.fields[name].type)}' for name in names)}}}"


def _print_selections(children: list[Selection], aliases: Iterator[int]) -> str:
    used_keys: set[str] = set()
    return f"{{ {' '.join(child.print(aliases, used_keys) for child in children)} }}"
