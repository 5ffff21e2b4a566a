"""What operations and fragments amount to once every fragment is expanded, without expanding any.

Each definition is counted once, and its count is added wherever it is spread: a document of a few hundred bytes can
stand for 2^60 fields. Nothing here recurses, so no document reaches Python's recursion limit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

MOST = 100_000
_INTROSPECTION = frozenset({"__schema", "__type"})
_AT_THE_TOP = (0, False)

Definition = OperationDefinitionNode | FragmentDefinitionNode
Fragments = Mapping[str, FragmentDefinitionNode]
Place = tuple[int, bool]  # how many fields are around a selection, from `__schema` or `__type` on if these are


@dataclass(slots=True, kw_only=True, eq=False)
class Count:
    """What a definition amounts to: at first alone, at last with its fragments. Sums stop at MOST."""

    definition: Definition
    in_circle: bool = False
    spreads: list[tuple[str, Place]] = field(default_factory=list)
    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0

    def reach(self, depth: int, introspecting: bool) -> None:
        if introspecting:
            self.introspection_depth = max(self.introspection_depth, depth)
        else:
            self.depth = max(self.depth, depth)

    def add(self, fragment: "Count", place: Place) -> None:
        depth, introspecting = place
        self.reach(depth + fragment.depth, introspecting)
        self.reach(depth * introspecting + fragment.introspection_depth, introspecting=True)
        self.aliases = min(MOST, self.aliases + fragment.aliases)
        self.directives = min(MOST, self.directives + fragment.directives)
        self.fields = min(MOST, self.fields + fragment.fields)


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def counted(document: DocumentNode) -> list[Count]:
    """One count for each operation and fragment. A circle of fragments is noted, and cut where it closes."""
    counts = {id(node): _alone(node) for node in document.definitions if isinstance(node, Definition)}
    fragments = {name: counts[id(node)] for name, node in fragments_of(document).items()}
    complete: set[Count] = set()
    for count in _innermost_first(counts.values(), fragments):
        for name, place in count.spreads:
            if fragments.get(name) in complete:
                count.add(fragments[name], place)
            elif name in fragments:
                count.in_circle = True
        complete.add(count)
    return list(counts.values())


def _alone(definition: Definition) -> Count:
    count = Count(definition=definition, directives=_directives_of(definition))
    waiting = [(definition.selection_set, _AT_THE_TOP)]
    while waiting:
        selection_set, place = waiting.pop()
        for selection in selection_set.selections:
            inner = _count_selection(count, selection, place)
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                waiting.append((selection.selection_set, inner))
    return count


def _directives_of(definition: Definition) -> int:
    variables = definition.variable_definitions or ()
    return sum(len(node.directives or ()) for node in (definition, *variables))


def _count_selection(count: Count, selection: SelectionNode, place: Place) -> Place:
    count.directives += len(selection.directives or ())
    if isinstance(selection, FragmentSpreadNode):
        count.spreads.append((selection.name.value, place))
    if not isinstance(selection, FieldNode):
        return place
    count.fields += 1
    count.aliases += selection.alias is not None
    count.reach(place[0] + 1, place[1])
    return _below(selection, place)


def _below(node: FieldNode, place: Place) -> Place:
    depth, introspecting = place
    if node.name.value in _INTROSPECTION and not introspecting:
        return 1, True
    return depth + 1, introspecting


def _innermost_first(roots: Iterable[Count], fragments: Mapping[str, Count]) -> Iterator[Count]:
    """Each count once, after those that it spreads: depth first, with the path on a list instead of on the stack."""
    entered: set[Count] = set()
    left: set[Count] = set()
    path = list(roots)
    while path:
        count = path[-1]
        if count not in entered:
            entered.add(count)
            inner = (fragments[name] for name, _ in count.spreads if name in fragments)
            path.extend(fragment for fragment in inner if fragment not in entered)
            continue
        path.pop()
        if count not in left:
            left.add(count)
            yield count


class Repeats:
    """Counts fields of one response key in merged selection sets, as CollectFields of the specification merges them.

    Two `a { … }` beside each other have one merged selection set below them. There are at most as many merges as fields
    after expansion, so this is for documents that are known to have few fields and no circle of fragments: a circle
    can make 2^n different merges of n fragments.
    """

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = fragments_of(document)
        self._roots = [node.selection_set for node in document.definitions if isinstance(node, Definition)]
        self._flat: dict[int, tuple[list[FieldNode], set[str]]] = {}

    def most(self) -> tuple[int, str]:
        """The greatest number of fields that share a response key in one place, and that key."""
        return max(((len(fields), key) for key, fields in self._merges()), default=(0, ""))

    def _merges(self) -> Iterator[tuple[str, list[FieldNode]]]:
        seen: set[tuple[int, ...]] = set()
        waiting = [[root] for root in self._roots]
        while waiting:
            merged = waiting.pop()
            identity = tuple(map(id, merged))
            if identity in seen:
                continue
            seen.add(identity)
            for key, fields in self._by_key(merged).items():
                yield key, fields
                waiting.append([node.selection_set for node in fields if node.selection_set])

    def _by_key(self, merged: list[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        by_key: defaultdict[str, list[FieldNode]] = defaultdict(list)
        spread: set[str] = set()
        waiting = list(merged)
        while waiting:
            fields, names = self._flattened(waiting.pop())
            for node in fields:
                by_key[(node.alias or node.name).value].append(node)
            new = self._fragments.keys() & names - spread
            spread |= new
            waiting.extend(self._fragments[name].selection_set for name in new)
        return by_key

    def _flattened(self, selection_set: SelectionSetNode) -> tuple[list[FieldNode], set[str]]:
        """Its fields and spreads, those in inline fragments included."""
        if id(selection_set) not in self._flat:
            self._flat[id(selection_set)] = _flatten(selection_set)
        return self._flat[id(selection_set)]


def _flatten(selection_set: SelectionSetNode) -> tuple[list[FieldNode], set[str]]:
    fields: list[FieldNode] = []
    names: set[str] = set()
    waiting = [selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                fields.append(selection)
            elif isinstance(selection, FragmentSpreadNode):
                names.add(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
    return fields, names
