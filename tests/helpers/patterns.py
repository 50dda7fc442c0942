"""Every regular expression of the sources with the ways it is used, and inputs that make a bad one slow."""

import ast
import importlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]  # the tree of a pattern has no public home
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
_ROOMS = ("tmssl", "cli", "tui")
_WAYS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
_PAIRS = 60  # of beginnings and repeated texts; more of them find no more
_MANY = 16  # a repetition up to here costs a constant
_FAIL = ("", "\n\0")  # what a pattern hardly takes, after what it does


class Used(NamedTuple):
    """A regular expression and one way in which it is used."""

    file: str
    name: str
    pattern: "re.Pattern[Any]"
    way: str


def used_patterns() -> Iterator[Used]:
    """Every regular expression of the packages, once for each way in which its module uses it."""
    for room in _ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            yield from _used_in(tree, str(path.relative_to(ROOT)))


def _used_in(tree: ast.Module, file: str) -> Iterator[Used]:
    calls = [
        (node, node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    if not any(_is_re(function) for _, function in calls):
        return
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    named = {name: value for name, value in vars(module).items() if isinstance(value, re.Pattern)}
    for node, function in calls:
        if _is_re(function) and function.attr in _WAYS:
            flags = eval(ast.unparse(_flags(node)), {"re": re})
            text = eval(ast.unparse(node.args[0]), {**vars(module), "name": "a"})
            yield Used(file, repr(text)[:40], re.compile(text, flags), function.attr)
    ways = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in _WAYS
    }
    for name, pattern in named.items():
        own = [way for used, way in ways if used == name]
        for way in sorted(own) or ["search"]:  # used elsewhere, or handed over
            yield Used(file, name, pattern, way)


def _is_re(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id == "re"


def _flags(call: ast.Call) -> ast.expr:
    """The flags of a call of `re`: its keyword, or the last argument where that names one."""
    for keyword in call.keywords:
        if keyword.arg == "flags":
            return keyword.value
    last = call.args[-1]
    return last if ast.unparse(last).startswith("re.") else ast.Constant(0)


def hostile(pattern: "re.Pattern[Any]") -> list[tuple[str, str, str]]:
    """(beginning, middle to repeat, end) of inputs on which a pattern may look at the same text again and again.

    For each repetition in the pattern: a text for what stands before it, then what it repeats.
    """
    text = pattern.pattern
    tree = _parser.parse(
        text if isinstance(text, str) else text.decode("latin-1"),
        pattern.flags & ~re.UNICODE if isinstance(text, bytes) else pattern.flags,
    )
    found: dict[tuple[str, str], None] = {}
    _collect(list(tree), "", found)
    starts = {before for before, _ in found} | {pump for _, pump in found}
    # A search begins anew at each place: what it begins with is repeated too.
    found |= {("", start): None for start in starts if start}
    pairs = itertools.product(sorted(starts), list(found))
    found |= {
        ("", start + pump): None for start, (_, pump) in itertools.islice(pairs, _PAIRS) if pump
    }
    return [(before, pump, end) for (before, pump) in found if pump for end in _FAIL]


def _collect(nodes: list[Any], before: str, found: dict[tuple[str, str], None]) -> None:
    """Add (text before, repeated text) of each repetition in a sequence."""
    for kind, value in nodes:
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
            _, most, body = value
            if most > _MANY:
                for pump in itertools.islice(_texts(list(body)), 6):
                    found[before, pump] = None
            _collect(list(body), before, found)
        else:
            for inner in _inside(kind, value):
                _collect(inner, before, found)
        before += next(_texts([(kind, value)]), "")


def _inside(kind: Any, value: Any) -> list[list[Any]]:
    """The sequences inside a node."""
    if kind is _constants.SUBPATTERN:
        return [list(value[-1])]
    if kind is _constants.BRANCH:
        return [list(one) for one in value[1]]
    if kind in (_constants.ASSERT, _constants.ASSERT_NOT):
        return [list(value[1])]
    if kind is _constants.ATOMIC_GROUP:
        return [list(value)]
    return []


def _texts(nodes: list[Any]) -> Iterator[str]:
    """Some texts that a sequence matches."""
    choices = [list(itertools.islice(_node_texts(*node), 4)) or [""] for node in nodes]
    for number in range(max(map(len, choices), default=1)):
        yield "".join(choice[number % len(choice)] for choice in choices)


def _node_texts(kind: Any, value: Any) -> Iterator[str]:
    """Some texts that one node matches."""
    if kind is _constants.LITERAL:
        yield chr(value)
    elif kind is _constants.NOT_LITERAL:
        yield "x" if value != ord("x") else "y"
    elif kind is _constants.ANY:
        yield from ("x", " ", "1")
    elif kind is _constants.IN:
        yield from _of_class(value)
    elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
        least, _, body = value
        yield from (text * max(1, least) for text in _texts(list(body)))
    elif kind is _constants.BRANCH:
        for one in value[1]:
            yield from _texts(list(one))
    elif kind in (_constants.SUBPATTERN, _constants.ATOMIC_GROUP):
        yield from _texts(list(value[-1] if kind is _constants.SUBPATTERN else value))
    else:
        yield ""


_CLASSES = {
    _constants.CATEGORY_DIGIT: "1",
    _constants.CATEGORY_SPACE: " ",
    _constants.CATEGORY_WORD: "a",
    _constants.CATEGORY_NOT_DIGIT: "x",
    _constants.CATEGORY_NOT_SPACE: "x",
    _constants.CATEGORY_NOT_WORD: "-",
}


def _of_class(items: list[Any]) -> Iterator[str]:
    """Some characters of a class."""
    negated = items[0][0] is _constants.NEGATE
    if negated:
        inside = re.compile(_class_text(items))
        yield from (letter for letter in "x 1-.\t" if inside.match(letter))
        return
    for kind, value in items:
        if kind is _constants.LITERAL:
            yield chr(value)
        elif kind is _constants.RANGE:
            yield chr(value[0])
        elif kind is _constants.CATEGORY:
            yield _CLASSES[value]


def _class_text(items: list[Any]) -> str:
    """A negated class written out again."""
    parts = []
    for kind, value in items[1:]:
        if kind is _constants.LITERAL:
            parts.append(re.escape(chr(value)))
        elif kind is _constants.RANGE:
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        else:
            name = str(value).rpartition("_")[2][0].lower()
            parts.append(f"\\{name.upper() if '_NOT_' in str(value) else name}")
    return f"[^{''.join(parts)}]"
