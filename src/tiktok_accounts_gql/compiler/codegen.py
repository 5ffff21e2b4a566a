"""Code generation: the Python functions that turn what a resolver returned into what JSON shows.

There is a function for each resolver that is awaited. It completes the value (CompleteValue of the specification): a loop
for a list, an attribute read or a call for a field, a type check for a leaf. Fields below it whose resolvers have to be
awaited stay None for now, and are appended to `pending` with their row. README.md shows an example.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from keyword import iskeyword
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLEnumType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
)

from tiktok_accounts_gql.compiler.internals import FieldDetailsList, find_attribute
from tiktok_accounts_gql.compiler.lookahead import CollectSubfields, is_same_row
from tiktok_accounts_gql.compiler.resolver_calls import CompilationUnit, CompileError, ResolverCall, SelectedField
from tiktok_accounts_gql.compiler.result_coercion import (
    UnexpectedValue,
    check_plain,
    coerce_leaf,
    find_passthrough,
    map_enum_names,
)

MAX_LINES = 20_000  # of one operation: nested interfaces multiply, as each is written out for each of its types
_INDENT = "  "
_BUILT_IN_NAMES = {bool: "bool", int: "int", float: "float", str: "str"}

PendingField = tuple[dict[str, Any], str, Any, int]  # the object and the key to fill, the row, the index of the call
CompleteValue = Callable[[Any, Any, list[PendingField]], Any]  # takes a value, the execution and the pending fields


class CodeGenerator:
    """Generates the functions of one operation. Collects the calls and infos that they take from an execution, by index."""

    def __init__(self, unit: CompilationUnit, collect_subfields: CollectSubfields) -> None:
        self.unit = unit
        self.collect_subfields = collect_subfields
        self.calls: list[ResolverCall] = []
        self.completers: dict[int, CompleteValue] = {}  # by the index of the call whose value they complete
        self.info_builders: list[SelectedField | ResolverCall] = []
        self.plain_types: set[type] = set(_BUILT_IN_NAMES)
        self.sources: dict[int, str] = {}  # of the completers
        self.line_count = 0

    def compile_call(self, selected: SelectedField, details: FieldDetailsList) -> int:
        """Generate the function that completes what a resolver returns. Return the index of the call."""
        index = self.add_call(ResolverCall(selected))
        writer = FunctionWriter(self)
        self.sources[index] = writer.write(selected, details)
        self.completers[index] = writer.compile(self.sources[index])
        return index

    def add_call(self, call: ResolverCall) -> int:
        self.calls.append(call)
        return len(self.calls) - 1

    def add_info_builder(self, builder: SelectedField | ResolverCall) -> int:
        self.info_builders.append(builder)
        return len(self.info_builders) - 1


class FunctionWriter:
    """Writes the source of one function, with the names of its globals.

    Methods that return a `str` emit lines, and return the expression or the variable that then holds the result.
    """

    def __init__(self, generator: CodeGenerator) -> None:
        self._generator = generator
        self._preamble: list[str] = []
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {
            "UnexpectedValue": UnexpectedValue,
            "plain_types": generator.plain_types,
            "check_plain": check_plain,
            "coerce_leaf": coerce_leaf,
            "sequences": (list, tuple),
        }
        self._constants: dict[int, str] = {}  # names in `_globals`, by the id of the value
        self._indent = 1
        self._suffixes = count(1)

    def write(self, selected: SelectedField, details: FieldDetailsList) -> str:
        """Return the source. Raise CompileError for an operation that is too large."""
        result = self._complete(selected.field.type, "value", selected, details)
        self._emit(f"return {result}")
        return "\n".join(["def complete(value, execution, pending):", *self._preamble, *self._lines])

    def compile(self, source: str) -> CompleteValue:
        """Raise CompileError for an operation that is too deeply nested."""
        try:
            # Its only foreign names are those of the schema and the operation: [_A-Za-z0-9]+ by the grammar.
            exec(compile(source, "<plan>", "exec"), self._globals)  # noqa: S102
        except SyntaxError:
            raise CompileError from None  # Python nests 20 loops at most
        complete: CompleteValue = self._globals.pop("complete")  # its globals would hold it in a reference cycle
        return complete

    def _complete(self, type_: Any, value: str, selected: SelectedField, details: FieldDetailsList) -> str:
        required = isinstance(type_, GraphQLNonNull)
        nullable_type = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(nullable_type, GraphQLScalarType | GraphQLEnumType):
            self._emit_leaf(nullable_type, value, required=required)
            return value
        if required:
            self._emit(f"if {value} is None: raise UnexpectedValue")
            return self._complete_composite(nullable_type, value, selected, details)
        result = self._variable("result")
        self._emit(f"{result} = None")
        with self._block(f"if {value} is not None:"):
            self._emit(f"{result} = {self._complete_composite(nullable_type, value, selected, details)}")
        return result

    def _emit_leaf(self, type_: GraphQLLeafType, value: str, *, required: bool) -> None:
        coerce = f"{value} = coerce_leaf({self._constant(type_, type_.name)}, {value})"
        passthrough = find_passthrough(type_)
        if isinstance(type_, GraphQLEnumType):
            enum_names = map_enum_names(type_)
            kinds = self._constant({type(member) for member in enum_names}, "kinds")
            names = self._constant(enum_names, "names")
            self._emit(f"if type({value}) in {kinds}: {value} = {names}[{value}]")
            self._emit(f"else: {coerce}" if required else f"elif {value} is not None: {coerce}")
        elif passthrough is None:
            self._emit(coerce if required else f"if {value} is not None: {coerce}")
        else:
            self._globals.update(passthrough.names)
            kind = _BUILT_IN_NAMES.get(passthrough.kind) or self._constant(passthrough.kind, passthrough.kind.__name__)
            guard = f"type({value}) is not {kind}"
            if passthrough.condition:
                guard = f"({guard} or not ({passthrough.condition.format(value=value)}))"
            self._emit(f"if {guard}{'' if required else f' and {value} is not None'}: {coerce}")

    def _complete_composite(self, type_: Any, value: str, selected: SelectedField, details: FieldDetailsList) -> str:
        if isinstance(type_, GraphQLList):
            return self._complete_list(type_.of_type, value, selected, details)
        self._emit(f"if type({value}) not in plain_types: check_plain({value}, plain_types)")
        if isinstance(type_, GraphQLObjectType):
            return self._complete_object(type_, value, selected, details)
        if isinstance(type_, GraphQLAbstractType):
            return self._complete_abstract(type_, value, selected, details)
        raise CompileError

    def _complete_list(self, item_type: Any, value: str, selected: SelectedField, details: FieldDetailsList) -> str:
        items, item = self._variable("items"), self._variable("item")
        self._emit(f"if not isinstance({value}, sequences): raise UnexpectedValue")
        self._emit(f"{items} = []")
        with self._block(f"for {item} in {value}:"):
            self._emit(f"{items}.append({self._complete(item_type, item, selected, details)})")
        return items

    def _complete_abstract(
        self, type_: GraphQLAbstractType, value: str, selected: SelectedField, details: FieldDetailsList
    ) -> str:
        if type_.resolve_type is None:
            raise CompileError
        result, name = self._variable("result"), self._variable("type_name")
        resolve, abstract = self._constant(type_.resolve_type, "resolve_type"), self._constant(type_, type_.name)
        self._emit(f"{name} = {resolve}({value}, {self._info(selected)}, {abstract})")
        keyword = "if"
        for possible_type in self._generator.unit.schema.get_possible_types(type_):
            with self._block(f"{keyword} {name} == {possible_type.name!r}:"):
                self._emit(f"{result} = {self._complete_object(possible_type, value, selected, details)}")
            keyword = "elif"
        self._emit("else: raise UnexpectedValue")
        return result

    def _complete_object(
        self, type_: GraphQLObjectType, row: str, selected: SelectedField, details: FieldDetailsList
    ) -> str:
        if type_.is_type_of:
            is_type_of = self._constant(type_.is_type_of, "is_type_of")
            self._emit(f"if {is_type_of}({row}, {self._info(selected)}) is not True: raise UnexpectedValue")
        items, pending = [], []
        for key, group in self._generator.collect_subfields(type_, details).items():
            if group[0].node.name.value == "__typename":
                items.append(f"{key!r}: {type_.name!r}")
                continue
            field = SelectedField(self._generator.unit, type_, group, selected.path)
            if field.is_awaited:
                pending.append((key, self._generator.compile_call(field, group)))
                items.append(f"{key!r}: None")
                continue
            value = self._variable(field.name)
            self._emit(f"{value} = {self._read_field(field, row)}")
            items.append(f"{key!r}: {self._complete(field.field.type, value, field, group)}")
        result = self._variable(type_.name)
        self._emit(f"{result} = {{{', '.join(items)}}}")
        for key, index in pending:
            self._emit(f"pending.append(({result}, {key!r}, {row}, {index}))")
        return result

    def _read_field(self, field: SelectedField, row: str) -> str:
        """Return the expression of a field's value: the row itself, an attribute of it, or a call."""
        if is_same_row(field.definition):
            return row
        name = find_attribute(field.definition)
        if name is not None and field.is_attribute:
            return f"{row}.{name}" if name.isidentifier() and not iskeyword(name) else f"getattr({row}, {name!r})"
        call = ResolverCall(field)
        arguments = []
        if call.row_name is not None:
            arguments.append(f"{call.row_name}={row}" if call.row_name else row)
        if call.takes_arguments:
            resolver = self._variable(f"resolve_{field.name}")
            self._preamble.append(f"{_INDENT}{resolver} = execution.resolvers[{self._generator.add_call(call)}]")
            return f"{resolver}({', '.join(arguments)})"
        if call.info_name:  # passed here, because a `partial` takes twice the time of a call
            arguments.append(f"{call.info_name}={self._info(call)}")
        return f"{self._constant(call.function, f'resolve_{field.name}')}({', '.join(arguments)})"

    def _info(self, builder: SelectedField | ResolverCall) -> str:
        info = self._variable("info")
        self._preamble.append(f"{_INDENT}{info} = execution.infos[{self._generator.add_info_builder(builder)}]")
        return info

    def _constant(self, value: Any, hint: str) -> str:
        """Return the name of a global that holds the value."""
        name = self._constants.get(id(value))
        if name is None:
            self._constants[id(value)] = name = self._variable(hint)
            self._globals[name] = value
        return name

    def _variable(self, hint: str) -> str:
        return f"{hint}_{next(self._suffixes)}"

    def _emit(self, line: str) -> None:
        self._generator.line_count += 1
        if self._generator.line_count > MAX_LINES:
            raise CompileError
        self._lines.append(_INDENT * self._indent + line)

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self._emit(head)
        self._indent += 1
        yield
        self._indent -= 1
