"""What is counted without expanding fragments equals what expanding them gives."""

from collections import Counter
from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tiktok_accounts_gql.execution.counts import MOST, Count, Repeats, counted

NAMES = st.sampled_from(["a", "b", "k: a", "k: b"])
DIRECTIVES = st.sampled_from(["", "", " @x", " @x @y"])


def selections(fragments: int) -> st.SearchStrategy[str]:
    """Selection sets that spread only the first fragments, so that there is no circle."""
    field = st.builds(str.__add__, NAMES, DIRECTIVES)
    spread = st.integers(0, fragments).map(lambda i: f"...F{i}" if i < fragments else "...Unknown")
    leaf = field | st.builds(str.__add__, spread, DIRECTIVES)

    def branch(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        sets = st.lists(inner, max_size=3).map(lambda parts: " { " + " ".join(parts) + " }")
        return st.builds(str.__add__, field | st.just("..."), sets)

    return st.lists(st.recursive(leaf, branch, max_leaves=6), max_size=4).map(" ".join)


@st.composite
def texts(draw: st.DrawFn) -> str:
    fragments = draw(st.integers(0, 4))
    bodies = [draw(selections(i)) for i in range(fragments + 1)]
    marked = [f"fragment F{i} on T{draw(DIRECTIVES)} {{ {body} }}" for i, body in enumerate(bodies[:-1])]
    return f"query Q{draw(DIRECTIVES)} {{ {bodies[-1]} }} {' '.join(draw(st.permutations(marked)))}"


class Expanded:
    """The same figures by the plainest recursion."""

    def __init__(self, document: DocumentNode) -> None:
        self.operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        nodes = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self.fragments = {node.name.value: node for node in nodes}

    def inner(self, node: SelectionNode) -> SelectionSetNode | None:
        if isinstance(node, FragmentSpreadNode):
            fragment = self.fragments.get(node.name.value)
            return fragment.selection_set if fragment else None
        assert isinstance(node, FieldNode | InlineFragmentNode)
        return node.selection_set

    def every(self, selection_set: SelectionSetNode | None) -> Iterator[SelectionNode]:
        for node in selection_set.selections if selection_set else ():
            yield node
            yield from self.every(self.inner(node))

    def depth(self, selection_set: SelectionSetNode | None) -> int:
        nodes = selection_set.selections if selection_set else ()
        return max((isinstance(node, FieldNode) + self.depth(self.inner(node)) for node in nodes), default=0)

    def directives(self, operation: OperationDefinitionNode) -> int:
        nodes = list(self.every(operation.selection_set))
        spread = [self.fragments.get(node.name.value) for node in nodes if isinstance(node, FragmentSpreadNode)]
        return sum(len(node.directives or ()) for node in (operation, *nodes, *spread) if node)

    def merged(self, sets: Iterable[SelectionSetNode], spread: set[str]) -> Iterator[FieldNode]:
        """CollectFields of the specification: a fragment is spread once in one place."""
        for node in [node for selection_set in sets for node in selection_set.selections]:
            if isinstance(node, FieldNode):
                yield node
                continue
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
            inner = self.inner(node)
            yield from self.merged([inner] if inner else [], spread)

    def repeats(self, sets: list[SelectionSetNode]) -> int:
        fields = list(self.merged(sets, set()))
        keys = Counter((node.alias or node.name).value for node in fields)
        below = [
            [node.selection_set for node in fields if (node.alias or node.name).value == key and node.selection_set]
            for key in keys
        ]
        return max([*keys.values(), *(self.repeats(inner) for inner in below if inner)], default=0)


@settings(max_examples=40, deadline=None)
@given(texts())
def test_counts_equal_those_of_the_expanded_document(text: str) -> None:
    document = parse(text)
    [count] = [count for count in counted(document) if isinstance(count.definition, OperationDefinitionNode)]
    expanded = Expanded(document)
    [operation] = expanded.operations
    fields = [node for node in expanded.every(operation.selection_set) if isinstance(node, FieldNode)]
    assert count.fields == len(fields)
    assert count.aliases == sum(node.alias is not None for node in fields)
    assert count.directives == expanded.directives(operation)
    assert count.depth == expanded.depth(operation.selection_set)


@settings(max_examples=40, deadline=None)
@given(texts())
def test_repeats_equal_those_of_the_expanded_document(text: str) -> None:
    document = parse(text)
    expanded = Expanded(document)
    roots = [node.selection_set for node in (*expanded.operations, *expanded.fragments.values())]
    assert Repeats(document).most()[0] == max(expanded.repeats([root]) for root in roots)


def counts(text: str) -> dict[str, Count]:
    return {count.definition.name.value: count for count in counted(parse(text)) if count.definition.name}


def test_sums_stop_where_they_no_longer_matter() -> None:
    spreads = "".join(f" fragment F{i} on T {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60))
    count = counts(f"query Q {{ ...F0 }} {spreads} fragment F60 on T {{ k: a @x }}")["Q"]
    assert (count.fields, count.aliases, count.directives, count.depth) == (MOST, MOST, MOST, 1)


def test_introspection_has_a_depth_of_its_own() -> None:
    found = counts(
        "query Q { a { ...F } } fragment F on T { b __schema { ...G } } fragment G on T { __type { c { __schema { d } } } }"
    )
    assert {name: (count.depth, count.introspection_depth) for name, count in found.items()} == {
        "Q": (2, 5),
        "F": (1, 5),
        "G": (1, 4),
    }


def test_a_circle_of_fragments_is_noted_and_cut_where_it_closes() -> None:
    found = counts(
        "query Q { ...A ...C } fragment A on T { a ...B } fragment B on T { b ...A ...B } fragment C on T { c }"
    )
    assert {name for name, count in found.items() if count.in_circle} == {"A", "B"}
    assert found["Q"].fields == 2
