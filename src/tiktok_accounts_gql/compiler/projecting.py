"""Writes the functions that turn rows into what JSON shows: one for each part of an operation between two awaits.

A function takes a value that a resolver returned and writes out, line by line, what the selection set below it asks for.
Fields whose resolvers have to be awaited are left empty and noted in `later`, with the row that they belong to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from keyword import iskeyword
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
)

from tiktok_accounts_gql.compiler.calls import Call, Given, NotPlannable, Site
from tiktok_accounts_gql.compiler.leaves import Unexpected, as_it_is, fitting, is_plain, names_of
from tiktok_accounts_gql.compiler.needs import Selected, Subfields, is_same_row

MOST_LINES = 20_000  # of one operation: interfaces inside each other are written out for each of their types

Later = list[tuple[dict[str, Any], str, Any, int]]
Project = Callable[[Any, Any, Later], Any]


class Compiler:
    """What the functions of one operation share: its calls, and the fields of which somebody is told."""

    def __init__(self, given: Given, subfields: Subfields) -> None:
        self.given = given
        self.subfields = subfields
        self.calls: list[Call] = []
        self.completions: dict[int, Project] = {}  # of what a call returns, by its number
        self.sites: list[Site | Call] = []
        self.plain: set[type] = {bool, int, float, str}
        self.lines = 0

    def call(self, site: Site, details: Selected) -> int:
        """The number of a call whose value has a function of its own."""
        number = self.add(Call(site))
        self.completions[number] = Function(self).build(site, details)
        return number

    def add(self, call: Call) -> int:
        self.calls.append(call)
        return len(self.calls) - 1

    def told(self, of: Site | Call) -> int:
        self.sites.append(of)
        return len(self.sites) - 1


class Function:
    """The source of one function while it is written."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._lines: list[str] = []
        self._heads: list[str] = []
        self._names: dict[str, Any] = {
            "Unexpected": Unexpected,
            "plain": compiler.plain,
            "admit": _admission(compiler.plain),
            "sequences": (list, tuple),
        }
        self._indent = 1
        self._variables = 0

    def build(self, site: Site, details: Selected) -> Project:
        result = self._complete(site.field.type, "value", site, details)
        self._emit(f"return {result}")
        source = "\n".join(["def project(value, run, later):", *self._heads, *self._lines])
        try:
            # Only names of the schema and of the operation are in it, and both are [_A-Za-z0-9]+ by the grammar.
            exec(compile(source, "<plan>", "exec"), self._names)  # noqa: S102
        except SyntaxError:
            raise NotPlannable from None  # too many loops inside each other
        project: Project = self._names.pop("project")  # or the function would hold itself, by its globals
        return project

    def _complete(self, type_: Any, value: str, site: Site, details: Selected) -> str:
        """The expression of what is sent for a variable."""
        required = isinstance(type_, GraphQLNonNull)
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(inner, GraphQLScalarType | GraphQLEnumType):
            self._leaf(inner, value, required=required)
            return value
        result = self._variable()
        if required:
            self._emit(f"if {value} is None: raise Unexpected")
            self._emit(f"{result} = {self._composite(inner, value, site, details)}")
            return result
        self._emit(f"{result} = None")
        with self._block(f"if {value} is not None:"):
            self._emit(f"{result} = {self._composite(inner, value, site, details)}")
        return result

    def _leaf(self, type_: GraphQLLeafType, value: str, *, required: bool) -> None:
        fit = self._name(fitting(type_))
        but_null = "" if required else f" and {value} is not None"
        if isinstance(type_, GraphQLEnumType):
            known = names_of(type_)
            kinds, names = self._name({type(one) for one in known}), self._name(known)
            self._emit(f"if type({value}) in {kinds}: {value} = {names}[{value}]")
            self._emit(f"elif True{but_null}: {value} = {fit}({value})")
            return
        simple = as_it_is(type_)
        if simple is None:
            self._emit(f"if True{but_null}: {value} = {fit}({value})")
            return
        self._names.update(simple.names)
        odd = f"type({value}) is not {self._name(simple.kind)}"
        if simple.condition:
            odd = f"({odd} or not ({simple.condition.format(v=value)}))"
        self._emit(f"if {odd}{but_null}: {value} = {fit}({value})")

    def _composite(self, type_: Any, value: str, site: Site, details: Selected) -> str:
        if isinstance(type_, GraphQLList):
            return self._list(type_.of_type, value, site, details)
        self._emit(f"if type({value}) not in plain: admit({value})")
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, value, site, details)
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            return self._abstract(type_, value, site, details)
        raise NotPlannable

    def _list(self, item_type: Any, value: str, site: Site, details: Selected) -> str:
        result, item = self._variable(), self._variable()
        self._emit(f"if not isinstance({value}, sequences): raise Unexpected")
        self._emit(f"{result} = []")
        with self._block(f"for {item} in {value}:"):
            self._emit(f"{result}.append({self._complete(item_type, item, site, details)})")
        return result

    def _abstract(
        self, type_: GraphQLInterfaceType | GraphQLUnionType, value: str, site: Site, details: Selected
    ) -> str:
        if type_.resolve_type is None:
            raise NotPlannable
        result, name = self._variable(), self._variable()
        resolve, abstract = self._name(type_.resolve_type), self._name(type_)
        self._emit(f"{name} = {resolve}({value}, {self._info(site)}, {abstract})")
        word = "if"
        for possible in self._compiler.given.schema.get_possible_types(type_):
            with self._block(f"{word} {name} == {possible.name!r}:"):
                self._emit(f"{result} = {self._object(possible, value, site, details)}")
            word = "elif"
        self._emit("else: raise Unexpected")
        return result

    def _object(self, type_: GraphQLObjectType, value: str, site: Site, details: Selected) -> str:
        if type_.is_type_of:
            is_type_of = self._name(type_.is_type_of)
            self._emit(f"if {is_type_of}({value}, {self._info(site)}) is not True: raise Unexpected")
        items, later = [], []
        for key, group in self._compiler.subfields(type_, details).items():
            if group[0].node.name.value == "__typename":
                items.append(f"{key!r}: {type_.name!r}")
                continue
            below = Site(self._compiler.given, type_, group, site.path)
            if below.definition.is_async and not below.is_attribute:
                later.append((key, self._compiler.call(below, group)))
                items.append(f"{key!r}: None")
                continue
            items.append(f"{key!r}: {self._at_once(below, value, group)}")
        result = self._variable()
        self._emit(f"{result} = {{{', '.join(items)}}}")
        for key, number in later:
            self._emit(f"later.append(({result}, {key!r}, {value}, {number}))")
        return result

    def _at_once(self, site: Site, row: str, details: Selected) -> str:
        """The expression of a field that waits for nothing."""
        value = self._variable()
        self._emit(f"{value} = {self._read(site, row)}")
        return self._complete(site.field.type, value, site, details)

    def _read(self, site: Site, row: str) -> str:
        if is_same_row(site.definition):
            return row
        name = site.definition.python_name
        if site.is_attribute:
            return f"{row}.{name}" if name.isidentifier() and not iskeyword(name) else f"getattr({row}, {name!r})"
        call = Call(site)
        by_name = call.row_name
        given = "" if by_name is None else f"{by_name}={row}, " if by_name else f"{row}, "
        if call.is_bare:  # a `partial` takes twice the time of a call
            info = f"{call.info_name}={self._info(call)}" if call.info_name else ""
            return f"{self._name(call.function)}({given}{info})"
        number = self._compiler.add(call)
        self._heads.append(f"  call{number} = run.bound[{number}]")
        return f"call{number}({given})"

    def _info(self, of: Site | Call) -> str:
        number = self._compiler.told(of)
        self._heads.append(f"  info{number} = run.infos[{number}]")
        return f"info{number}"

    def _name(self, value: Any) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"

    def _emit(self, line: str) -> None:
        self._compiler.lines += 1
        if self._compiler.lines > MOST_LINES:
            raise NotPlannable
        self._lines.append(" " * (self._indent + 1) + line)

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self._emit(head)
        self._indent += 1
        yield
        self._indent -= 1


def _admission(plain: set[type]) -> Callable[[Any], None]:
    def admit(value: Any) -> None:
        """The kinds of rows are few; each is looked at once."""
        if not is_plain(value):
            raise Unexpected
        plain.add(type(value))

    return admit
