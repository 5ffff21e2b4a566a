"""Documents of attackers, and the codes that they are refused with. The schema is that of `test_limits.py`."""

LIMIT, PARSE, VALIDATION = "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"


def doubling(levels: int, last: str) -> str:
    spreads = "".join(f" fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels))
    return f"{{ ...F0 }}{spreads} fragment F{levels} on Query {{ {last} }}"


def multiplying(levels: int) -> str:
    """Return a query whose fragments may be merged in any combination: 2^n merged selection sets."""
    inner = "".join(
        f" fragment F{i} on User {{ friend {{ ...F{i + 1} }} friends {{ ...F{i + 1} }} }}" for i in range(1, levels)
    )
    first = "fragment F0 on User { friend { ...F0 } friends { ...F0 ...F1 } }"
    return f"{{ user {{ ...F0 }} }} {first} {inner} fragment F{levels} on User {{ id }}"


ATTACKS = {
    "nested spreads, 18 levels": (doubling(18, "number"), LIMIT),
    "nested spreads, 30 levels": (doubling(30, "number"), LIMIT),
    "nested spreads, 60 levels": (doubling(60, "number"), LIMIT),
    "nested spreads of aliases": (doubling(60, "a: number"), LIMIT),
    "nested spreads that are not used": (doubling(60, "number").replace("{ ...F0 }", "{ number }", 1), LIMIT),
    "nested spreads of nothing": (doubling(60, "").replace("{ ...F0 }", "{ ...F0 unknown }", 1), VALIDATION),
    "a field 240 times": ("{" + " number" * 240 + " }", LIMIT),
    "a field 240 times, below another": ("{" + " user { id }" * 240 + " }", LIMIT),
    "a field 240 times, in an unused fragment": ("{ number } fragment F on Query {" + " number" * 240 + " }", LIMIT),
    "5,000 opening braces": ("{" * 5000, PARSE),
    "5,000 levels of fields": ("{a" * 5000, LIMIT),
    "5,000 levels of fields, closed": ("{a" * 5000 + "}" * 5000, LIMIT),
    "300 inline fragments": ("{" + "...{" * 300 + "number" + "}" * 301, LIMIT),
    "lists, 480 deep": ("{ number(list: " + "[" * 480 + "]" * 480 + ") }", LIMIT),
    "lists, 190 deep": ("{ number(list: " + "[" * 190 + "]" * 190 + ") }", LIMIT),
    "lists, 40 deep": ("{ number(list: " + "[" * 40 + "]" * 40 + ") }", VALIDATION),
    "lists, 5,000 deep": ("{ number(list: " + "[" * 5000 + ") }", LIMIT),
    "objects, 240 deep": ("{ number(filter: " + "{and: " * 240 + "{}" + "}" * 240 + ") }", LIMIT),
    "types, 480 deep": ("query ($v: " + "[" * 480 + "Int" + "]" * 480 + ") { number }", LIMIT),
    "types, 45 deep": ("query ($v: " + "[" * 45 + "Int" + "]" * 45 + ") { number(n: $v) }", VALIDATION),
    "directives, 480 deep": ("{ number @mark(a: " + "[" * 480 + "]" * 480 + ") }", LIMIT),
    "an integer of 400 digits": ("{ number(n: " + "9" * 400 + ") }", VALIDATION),
    "an integer of 60,000 digits": ("{ number(n: " + "9" * 60_000 + ") }", VALIDATION),
    "NUL": ("{ number \0 }", PARSE),
    "NUL in a string": ('{ number(text: "\0") }', PARSE),
    "NUL in a comment": ("{ number } # \0", PARSE),
    "lone surrogate": ("{ number \ud800 }", PARSE),
    "lone surrogate in a name": ("{ num\udfffber }", PARSE),
    "lone surrogate in a string": ('{ number(text: "\ud800") }', PARSE),
    "lone surrogate in a block string": ('{ number(text: """\udc00""") }', PARSE),
    "lone surrogate in a comment": ("{ number } # \ud800", PARSE),
    "lone surrogate, escaped": (r'{ number(text: "\ud800") }', PARSE),
    "65,000 commas and no end": ("{" + "," * 65_000, PARSE),
    "30,000 comments": ("{" + "#\n" * 30_000 + "number }", LIMIT),
    "a string of 65,000 characters": ('{ number(n: "' + "x" * 65_000 + '") }', VALIDATION),
    "a block string of 60,000 lines": ('{ number(n: """' + "\n" * 60_000 + '""") }', VALIDATION),
    "10 MB": ("{ number }" * 1_000_000, LIMIT),
    "490 unknown fields": ("{" + "".join(f" numbe{i}" for i in range(490)) + " }", VALIDATION),
    "30 conflicts": ("{" + " user { a: id } user { a: name }" * 15 + " }", VALIDATION),
    "a fragment in itself": ("{ user { ...A } } fragment A on User { friend { ...A } }", VALIDATION),
    "fragments in a cycle": (
        "{ user { ...F0 } }" + "".join(f" fragment F{i} on User {{ ...F{(i + 1) % 60} }}" for i in range(60)),
        VALIDATION,
    ),
    "cycles that multiply, 50 levels": (multiplying(50), LIMIT),
    "cycles that multiply, 6 levels": (multiplying(6), VALIDATION),
    "each fragment in every other": (
        "{ user { ...F0 } }"
        + "".join(
            f" fragment F{i} on User {{" + "".join(f" ...F{j}" for j in range(20) if j != i) + " }" for i in range(20)
        ),
        VALIDATION,
    ),
    "a fragment in itself 150 times": (
        "{ user { ...A } } fragment A on User {" + " friend { ...A }" * 150 + " }",
        VALIDATION,
    ),
    "a field 235 times beside a cycle": ("{" + " user { id }" * 235 + " } fragment A on User { ...A }", VALIDATION),
    "100 fragments of the same 382 fields": (
        "{ number } "
        + "".join(f" fragment F{i} on User {{ friend {{ ...F{i + 1} }} friends {{ ...F{i + 1} }} }}" for i in range(7))
        + " fragment F7 on User { id }"
        + "".join(f" fragment G{i} on User {{ ...F0 }}" for i in range(100)),
        VALIDATION,
    ),
    "unknown fragments": ("{ ...A ...B }", VALIDATION),
    "two fragments of one name": (
        "{ ...A } fragment A on Query { number } fragment A on Query { user { id } }",
        VALIDATION,
    ),
    "introspection in cycles": (
        "{ __schema { types {" + " fields { type {" * 4 + " name" + " } }" * 4 + " } } }",
        VALIDATION,
    ),
    "fields where introspection stands": ("{ __schema { user {" + " friend {" * 15 + " id" + " }" * 18, VALIDATION),
    "a schema": ("type Query { number: Int }", VALIDATION),
    "an empty text": ("", PARSE),
}
