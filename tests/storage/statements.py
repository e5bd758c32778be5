"""Every SQL statement of the program, found in its source: where it is executed, and with how many arguments."""
from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_PIECE = re.compile(r"\b(SELECT|INSERT INTO|DELETE FROM|UPDATE \w+ SET|FROM \w+|WHERE|VALUES|ORDER BY|LIMIT|PRAGMA)\b")
ROOT = Path(__file__).resolve().parents[2]
TX = ("one", "all", "value", "run")
RAW = ("execute", "executemany", "executescript", "execute_fetchall", "execute_insert",  # and PostgreSQL's:
       "fetch", "fetchrow", "fetchval")
DATA = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE)\b")
SQL = re.compile(DATA.pattern + r"|\s*(PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|CREATE|ALTER|DROP|VACUUM|ATTACH"
                 r"|DETACH|ANALYZE|REINDEX|EXPLAIN)\b")


@dataclass(frozen=True)
class Site:
    """A place where a statement is executed."""

    file: str
    line: int
    function: str
    raw: bool  # by the driver's own cursor and not by a Tx
    given: str  # the source of what is given as the statement
    texts: tuple[tuple[str, str], ...]  # what that may be: name and SQL; empty when nothing was found
    plain: int  # arguments that stand there one by one
    starred: tuple[str, ...]  # the source of each `*arguments`
    literal: bool  # whether it is a name or a text, and not put together on the spot

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.file}: {self.function}"


class Source:
    """One module."""

    def __init__(self, path: Path) -> None:
        self.file = str(path.relative_to(ROOT))
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self.module: ModuleType = importlib.import_module(name.removesuffix(".__init__"))

    def constants(self) -> dict[str, str]:
        """The statements among the module's own names."""
        return {place: text for name in self.made_of() for place, text in _texts(name, getattr(self.module, name))}

    def made_of(self) -> dict[str, ast.expr]:
        """The module's own names, and the expressions that they are made of."""
        return {target.id: node.value for node in self.tree.body for target in _targets(node)
                if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name) and node.value}

    def put_together(self) -> Iterator[str]:
        """Statements that a function puts together, by any of the ways to do so."""
        for function in ast.walk(self.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    parts = list(_parts(node))
                    if any(isinstance(part, ast.Constant) and _PIECE.search(str(part.value)) for part in parts):
                        yield f"{self.file}: {function.name}: {ast.unparse(node)}"

    def sites(self) -> Iterator[Site]:
        """Where statements are executed."""
        yield from self._sites(self.tree, [])

    def _sites(self, node: ast.AST, functions: list[ast.AST]) -> Iterator[Site]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            functions = [*functions, node]
        if isinstance(node, ast.Call) and _executes(node):
            yield self._site(node, functions)
        for child in ast.iter_child_nodes(node):
            yield from self._sites(child, functions)

    def _site(self, call: ast.Call, functions: list[ast.AST]) -> Site:
        assert isinstance(call.func, ast.Attribute)
        given, arguments = call.args[0], call.args[1:]
        starred = tuple(ast.unparse(each) for each in arguments if isinstance(each, ast.Starred))
        return Site(self.file, call.lineno, getattr(functions[-1], "name", "lambda") if functions else "",
                    call.func.attr in RAW, ast.unparse(given), tuple(dict(self._resolve(given, functions)).items()),
                    len(arguments) - len(starred), starred, isinstance(given, (ast.Name, ast.Attribute, ast.Constant)))

    def _resolve(self, given: ast.expr, functions: list[ast.AST], depth: int = 4) -> Iterator[tuple[str, str]]:
        """What the expression may be: literals, the module's names, and what a local name was made of."""
        for node in ast.walk(given):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
                yield repr(node.value), node.value
            elif isinstance(node, (ast.Name, ast.Attribute)):
                source = ast.unparse(node)
                yield from _texts(source, _value(self.module, source))
                if isinstance(node, ast.Name) and depth:
                    for value in _assigned(node.id, functions):
                        yield from self._resolve(value, functions, depth - 1)


def _executes(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return False
    if call.func.attr in RAW:
        return True
    return call.func.attr in TX and ast.unparse(call.func.value).rpartition(".")[2].lstrip("_") == "tx"


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """What an f-string, a sum, a `%`, a `format` or a `join` puts together."""
    if isinstance(node, ast.JoinedStr):
        yield from node.values
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        yield from (node.left, node.right)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("format", "format_map", "join", "replace"):
            yield node.func.value


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.For, ast.AsyncFor, ast.comprehension)) else []


def _assigned(name: str, functions: list[ast.AST]) -> Iterator[ast.expr]:
    for function in functions:
        for node in ast.walk(function):
            for target in _targets(node):
                names = {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
                value = getattr(node, "iter", None) or getattr(node, "value", None)
                if name in names and value is not None:
                    yield value


def _value(module: ModuleType, source: str) -> Any:
    found: Any = module
    for part in source.split("."):
        found = getattr(found, part, None) if re.fullmatch(r"\w+", part) else None
    return found


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The statements in a value, also those in its tuples and dictionaries."""
    if isinstance(value, str) and SQL.match(value):
        yield name, value
    elif isinstance(value, (tuple, list)):
        for number, each in enumerate(value):
            yield from _texts(f"{name}[{number}]", each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(f"{name}[{key!r}]", each)


@cache
def sources() -> tuple[Source, ...]:
    """Every module of the program."""
    paths = [path for room in ("server", "ws", "bot") for path in sorted((ROOT / room).rglob("*.py"))]
    return tuple(Source(path) for path in paths)


@cache
def sites() -> tuple[Site, ...]:
    """Every place where a statement is executed."""
    return tuple(site for source in sources() for site in source.sites())


@dataclass(frozen=True)
class Statement:
    """One statement: its text, and where it is executed."""

    name: str  # `file: CONSTANT`, or `file: 'the text'`
    sql: str
    sites: tuple[Site, ...]

    @property
    def placeholders(self) -> list[int]:
        """The numbers of its placeholders, each once, in order."""
        return sorted({int(number) for number in re.findall(r"\$(\d+)", self.sql)})


@cache
def statements() -> tuple[Statement, ...]:
    """Every statement."""
    texts: dict[str, str] = {}
    used: dict[str, list[Site]] = {}
    for source in sources():
        for name, text in source.constants().items():
            texts[f"{source.file}: {name}"] = text
    for site in sites():
        for name, text in site.texts:
            own = [known for known, sql in texts.items() if sql == text and known.endswith(name.rpartition(".")[2])]
            key = own[0] if own else f"{site.file}: {name}"
            texts[key] = text
            used.setdefault(key, []).append(site)
    return tuple(Statement(name, text, tuple(used.get(name, ()))) for name, text in texts.items())
