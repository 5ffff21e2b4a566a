"""Operations made at random out of the schema, and changed a little at a time: for `costliest.py`."""

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

Texts = Mapping[str, Sequence[str]]  # literals by the name of a scalar, or by "Type.argument"

SIZES = (1, 2, 5, 10, 20, 49, 50, 50, 50, 50, 51)
FEW = (0, 1, 2)
KEPT = frozenset({"cancelSyncJob"})  # of the mutations: what it is asked for here changes nothing
LISTS = frozenset({"statsHistory", "results", "edges"})


@dataclass(slots=True, kw_only=True)
class Selection:
    """A field, or an inline fragment whose `name` is empty, on an object of `type`."""

    name: str
    type: str
    arguments: dict[str, str] = field(default_factory=dict)
    children: list["Selection"] = field(default_factory=list)

    def text(self, aliases: Iterator[int], taken: set[str]) -> str:
        """As it stands in a document. Another name is given where its own is `taken`."""
        alias = f"a{next(aliases)}: " if self.name in taken else ""
        taken.add(self.name)
        given = ", ".join(f"{name}: {value}" for name, value in self.arguments.items())
        head = f"{alias}{self.name}" + (f"({given})" if given else "") if self.name else f"... on {self.type}"
        return f"{head} {_text(self.children, aliases)}" if self.children else head

    def all(self) -> Iterator["Selection"]:
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(slots=True, kw_only=True)
class Generated:
    """An operation."""

    root: Selection

    def __str__(self) -> str:
        kind = "mutation" if self.root.type == "Mutation" else "query"
        return f"{kind} {_text(self.root.children, count())}"


class Generator:
    """`texts`: what scalars and arguments may be."""

    def __init__(self, schema: GraphQLSchema, texts: Texts, random: Random) -> None:
        self._schema = schema
        self._texts = texts
        self._random = random
        self._changes: tuple[Callable[[Selection], None], ...] = (
            self._add,
            self._add,
            self._fill,
            self._repeat,
            self._ask_otherwise,
            self._remove,
        )

    def new(self) -> Generated:
        root = "Mutation" if self._random.random() < 0.1 else "Query"
        made = Generated(root=Selection(name="", type=root))
        self._add(made.root)
        return made

    def changed(self, operation: Generated) -> Generated:
        """Another one; it may be beyond the limits."""
        made = deepcopy(operation)
        for _ in range(self._random.choice((1, 1, 2, 3, 5))):
            places = [one for one in made.root.all() if one.children]
            if not places:
                return self.new()
            self._random.choice(self._changes)(self._random.choice(places))
        return made if made.root.children else self.new()

    def _add(self, place: Selection) -> None:
        name = self._random.choice(self._names(place.type))
        place.children.append(self._selection(place.type, name))

    def _fill(self, place: Selection) -> None:
        """With all that has no fields of its own."""
        type_ = self._schema.type_map[place.type]
        there = {one.name for one in place.children}
        for name in self._names(place.type):
            known = getattr(type_, "fields", {}).get(name)
            if name not in there and known is not None and not is_composite_type(get_named_type(known.type)):
                place.children.append(self._selection(place.type, name))

    def _repeat(self, place: Selection) -> None:
        if place.children:
            again = self._random.choice(place.children)
            for _ in range(self._random.choice((1, 1, 4, 20))):
                place.children.append(deepcopy(again))

    def _ask_otherwise(self, place: Selection) -> None:
        child = self._random.choice(place.children) if place.children else None
        if child is not None and child.name in getattr(self._schema.type_map[place.type], "fields", {}):
            child.arguments = self._arguments(place.type, child.name)

    def _remove(self, place: Selection) -> None:
        if len(place.children) > 1:
            place.children.pop(self._random.randrange(len(place.children)))

    def _names(self, type_: str) -> list[str]:
        found = self._schema.type_map[type_]
        if type_ == "Mutation":
            return sorted(KEPT)
        if isinstance(found, GraphQLInterfaceType):
            return [f"... {one.name}" for one in self._schema.get_possible_types(found)]
        return list(getattr(found, "fields", {}))

    def _selection(self, parent: str, name: str) -> Selection:
        """With enough below it to be valid."""
        if name.startswith("... "):
            made = Selection(name="", type=name.removeprefix("... "))
        else:
            type_ = get_named_type(self._fields(parent)[name].type)
            made = Selection(name=name, type=type_.name, arguments=self._arguments(parent, name))
            if not is_composite_type(type_):
                return made
        self._add_below(made)
        return made

    def _add_below(self, made: Selection) -> None:
        """Where a list leads, it is followed: elsewhere little is to be had."""
        names = self._names(made.type)
        lists = [name for name in names if name in LISTS]
        self._add(made)
        if lists and self._random.random() < 0.7:
            made.children.append(self._selection(made.type, self._random.choice(lists)))

    def _fields(self, type_: str) -> dict[str, Any]:
        found = self._schema.type_map[type_]
        assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
        fields: dict[str, Any] = found.fields
        return fields

    def _arguments(self, parent: str, name: str) -> dict[str, str]:
        given: dict[str, str] = {}
        for argument, definition in self._fields(parent)[name].args.items():
            unlikely = argument in ("last", "after", "before", "to")
            wanted = isinstance(definition.type, GraphQLNonNull) and definition.default_value is None
            if wanted or self._random.random() < (0.1 if unlikely else 0.7):
                given[argument] = self._value(f"{parent}.{name}.{argument}", definition.type)
        return given

    def _value(self, place: str, type_: Any) -> str:
        if isinstance(type_, GraphQLNonNull):
            return self._value(place, type_.of_type)
        if isinstance(type_, GraphQLList):
            sizes = FEW if isinstance(get_named_type(type_), GraphQLEnumType) else SIZES
            return f"[{', '.join(self._value(place, type_.of_type) for _ in range(self._random.choice(sizes)))}]"
        if isinstance(type_, GraphQLEnumType):
            words: list[str] = list(type_.values)
            return self._random.choice(words)
        if isinstance(type_, GraphQLInputObjectType):
            return self._input(type_)
        argument = place.rpartition(".")[2]
        if argument in ("first", "last"):
            return str(self._random.choice(SIZES))
        known = self._texts.get(place) or self._texts.get(argument) or self._texts[type_.name]
        return self._random.choice(known)

    def _input(self, type_: GraphQLInputObjectType) -> str:
        wanted = [
            name
            for name, one in type_.fields.items()
            if isinstance(one.type, GraphQLNonNull) or self._random.random() < 0.4
        ]
        return f"{{{', '.join(f'{name}: {self._value(name, type_.fields[name].type)}' for name in wanted)}}}"


def _text(children: list[Selection], aliases: Iterator[int]) -> str:
    taken: set[str] = set()
    return f"{{ {' '.join(one.text(aliases, taken) for one in children)} }}"
