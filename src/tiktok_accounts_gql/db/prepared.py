"""Statements that are compiled once: from SQLAlchemy to the database's own text, with what values need on their way in and out.

SQLAlchemy's own way for each execution (statement, cache key, session, objects that are tracked) costs several times what
the driver does. Here a statement is built for its shape only, and its rows are named tuples with just the columns it names.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Delete, Enum, Insert, Select, Update
from sqlalchemy.engine import Dialect

Process = Callable[[Any], Any]
Statement = Select[Any] | Insert | Update | Delete


class Row:
    """A row with the columns of its statement as attributes; never changed."""

    __slots__ = ()


class Prepared:
    """A statement for one kind of database. Its named parameters are given to each execution."""

    def __init__(self, statement: Statement, dialect: Dialect, row: type[Row] = Row) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text: str = compiled.string
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if _is_constant(bind)}
        self._names: list[str] = compiled.positiontup
        self._into = [
            (place, process)
            for place, name in enumerate(self._names)
            if (process := _processor(compiled.binds[name].type, dialect, "bind"))
        ]
        columns: list[Any] = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._from = [
            (place, process)
            for place, column in enumerate(columns)
            if (process := _processor(column.type, dialect, "result"))
        ]
        self._new = row_maker(row, [column.key for column in columns])

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """As the driver takes them. `values` may have more than this statement names. Raises KeyError for a missing one."""
        given = {**self._constants, **values}
        parameters = [given[name] for name in self._names]
        for place, process in self._into:
            if parameters[place] is not None:
                parameters[place] = process(parameters[place])
        return tuple(parameters)

    def rows(self, records: Iterable[Iterable[Any]]) -> list[Any]:
        if not self._from:
            return [self._new(record) for record in records]
        return [self._new(self._processed(record)) for record in records]

    def _processed(self, record: Iterable[Any]) -> list[Any]:
        values = list(record)
        for place, process in self._from:
            values[place] = process(values[place])
        return values


def _is_constant(bind: Any) -> bool:
    """Part of the statement. What has a name is each caller's own, even where the statement was built with a first one."""
    is_set = getattr(bind, "_is_crud", False) and not bind.required  # by `values()`
    return bool(bind.unique or is_set)


def _processor(of: Any, dialect: Dialect, way: str) -> Process | None:
    known = of.dialect_impl(dialect)
    process: Process | None = known.bind_processor(dialect) if way == "bind" else known.result_processor(dialect, None)
    if process and way == "result" and isinstance(of, Enum):
        members: dict[Any, Any] = {None: None, **{word: process(word) for word in of.enums}}
        return members.__getitem__
    return process


def row_maker(row: type[Row], names: Sequence[str]) -> Callable[[Iterable[Any]], Any]:
    """Makes rows of a class below `row` of the values of these columns."""
    columns = namedtuple("columns", names)  # type: ignore[misc] # noqa: PYI024 - the names are known only now
    made = type(row.__name__, (row, columns), {"__slots__": ()})
    return partial(tuple.__new__, made)  # `_make` without its Python
