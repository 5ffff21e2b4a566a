"""Statements that are compiled once: SQL text for the driver, with converters for parameters and results.

SQLAlchemy's own path for each execution (statement, cache key, session, tracked objects) costs several times what the
driver does. Here a statement is compiled once for its shape, and its rows are named tuples of just the columns it selects.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Delete, Enum, Insert, Select, Update
from sqlalchemy.engine import Dialect

Converter = Callable[[Any], Any]
Statement = Select[Any] | Insert | Update | Delete


class Row:
    """A read-only row with the columns of its statement as attributes."""

    __slots__ = ()


class CompiledStatement:
    """A statement compiled for one dialect. Its named parameters are passed to each execution."""

    def __init__(self, statement: Statement, dialect: Dialect, row_type: type[Row] = Row) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text: str = compiled.string
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if _is_constant(bind)}
        self._names: list[str] = compiled.positiontup
        self._parameter_converters = [
            (position, converter)
            for position, name in enumerate(self._names)
            if (converter := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]
        columns: list[Any] = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._result_converters = [
            (position, converter)
            for position, column in enumerate(columns)
            if (converter := _build_result_converter(column.type, dialect))
        ]
        self._make_row = row_maker(row_type, [column.key for column in columns])

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return positional parameters for the driver. Extra values are ignored. Raises KeyError for a missing one."""
        values = {**self._constants, **values}
        parameters = [values[name] for name in self._names]
        for position, convert in self._parameter_converters:
            if parameters[position] is not None:
                parameters[position] = convert(parameters[position])
        return tuple(parameters)

    def rows(self, records: Iterable[Iterable[Any]]) -> list[Any]:
        """Convert the driver's records to rows."""
        if not self._result_converters:
            return [self._make_row(record) for record in records]
        rows = []
        for record in records:
            values = list(record)
            for position, convert in self._result_converters:
                values[position] = convert(values[position])
            rows.append(self._make_row(values))
        return rows


def row_maker(row_type: type[Row], names: Sequence[str]) -> Callable[[Iterable[Any]], Any]:
    """Return a function that makes rows, of a class below `row_type`, from the values of these columns."""
    fields = namedtuple("fields", names)  # type: ignore[misc] # noqa: PYI024 - the names are not static
    named_tuple = type(row_type.__name__, (row_type, fields), {"__slots__": ()})
    return partial(tuple.__new__, named_tuple)  # faster than `_make`


def _is_constant(bind: Any) -> bool:
    """Return whether a parameter is part of the statement.

    A named one is not, even if the statement was built with a value: each execution passes its own.
    """
    is_set_by_values = getattr(bind, "_is_crud", False) and not bind.required
    return bool(bind.unique or is_set_by_values)


def _build_result_converter(column_type: Any, dialect: Dialect) -> Converter | None:
    """Return SQLAlchemy's converter, as a dictionary lookup for an enum; None if the driver's values need none."""
    converter: Converter | None = column_type.dialect_impl(dialect).result_processor(dialect, None)
    if converter and isinstance(column_type, Enum):
        members: dict[Any, Any] = {None: None, **{value: converter(value) for value in column_type.enums}}
        return members.__getitem__
    return converter
