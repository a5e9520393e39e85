"""The rule language: a small subset of SQL over declared features, compiled to a stack machine's instructions.

Allowed: numbers, features, + − * /, comparison, AND, OR, NOT, IN, BETWEEN, IS NULL, COALESCE, brackets. Everything else
(aggregates, windows, sub-queries, clocks, strings, casts) is refused at its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError, TokenError

from .book import (
    I_ADD,
    I_AND,
    I_COALESCE,
    I_CONST,
    I_DIV,
    I_EQ,
    I_FEATURE,
    I_GE,
    I_GT,
    I_IS_NULL,
    I_LE,
    I_LT,
    I_MUL,
    I_NE,
    I_NEG,
    I_NOT,
    I_OR,
    I_SUB,
    STACK,
)  # fmt: skip


class PredicateError(ValueError):
    """What is wrong with a predicate, and where: ``line`` and ``column`` from 1."""

    def __init__(self, what: str, line: int = 1, column: int = 1) -> None:
        super().__init__(what)
        self.line, self.column = line, column


@dataclass(frozen=True)
class Program:
    """Instructions with their arguments, and the features that they read, in order of first use."""

    ops: tuple[int, ...]
    args: tuple[float, ...]
    features: tuple[str, ...]


_BINARY: dict[type[exp.Expression], int] = {
    exp.Add: I_ADD, exp.Sub: I_SUB, exp.Mul: I_MUL, exp.Div: I_DIV, exp.LT: I_LT, exp.LTE: I_LE, exp.GT: I_GT,
    exp.GTE: I_GE, exp.EQ: I_EQ, exp.NEQ: I_NE, exp.And: I_AND, exp.Or: I_OR,
}  # fmt: skip
_TRUTH = (exp.LT, exp.LTE, exp.GT, exp.GTE, exp.EQ, exp.NEQ, exp.And, exp.Or, exp.Not, exp.In, exp.Between, exp.Is)


def _place(node: exp.Expression) -> tuple[int, int]:
    for part in node.walk(bfs=False):
        if "line" in part.meta:
            length = len(part.name) if isinstance(part, exp.Identifier | exp.Literal) else 1
            return int(part.meta["line"]), max(int(part.meta["col"]) - length + 1, 1)
    return 1, 1


def _sought(node: exp.Expression, text: str) -> tuple[int, int]:
    """Place of a node; of one that the parser gives no place, where its first word stands."""
    word = re.match(r"\w+", node.sql())
    if _place(node) != (1, 1) or word is None:
        return _place(node)
    found = re.search(rf"\b{word[0]}\b", text, re.IGNORECASE)
    before = text[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def parse(text: str) -> exp.Expression:
    """The syntax tree of one predicate or formula. PredicateError where it is none."""
    try:
        trees = sqlglot.parse(text)
    except TokenError as error:
        raise PredicateError(str(error).split("\n")[0]) from error
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        first = details[0]
        line, column = int(first.get("line") or 1), int(first.get("col") or 1)
        what = str(first.get("description") or error)
        if what.startswith("Required keyword"):
            what = "the condition is not complete: something is missing after an operator"
        raise PredicateError(what, line, max(column - len(str(first.get("highlight") or "x")) + 1, 1)) from error
    if len(trees) != 1 or trees[0] is None:
        raise PredicateError("want one expression")
    tree: exp.Expression = trees[0]  # type: ignore[assignment]  # sqlglot's own base class
    return tree


def compile_text(text: str, known: Collection[str], *, predicate: bool) -> Program:
    """``text`` as a program; feature arguments are indices into the returned ``features``.

    ``known``: features that may be named. ``predicate``: the whole must be true or false.
    """
    tree = parse(text)
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if predicate and not isinstance(tree, _TRUTH):
        raise PredicateError("a rule's condition must be true or false, this is a figure", *_place(tree))
    ops: list[int] = []
    args: list[float] = []
    names: dict[str, int] = {}

    def put(op: int, arg: float = 0.0) -> None:
        ops.append(op)
        args.append(arg)

    def truth(node: exp.Expression, wanted: bool) -> None:
        inner = node
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, _TRUTH) is not wanted:
            what = "want something true or false here" if wanted else "a comparison is no figure"
            raise PredicateError(what, *_place(inner))

    def walk(node: exp.Expression) -> None:
        if isinstance(node, exp.Paren):
            walk(node.this)
        elif isinstance(node, exp.Column):
            if node.table or not isinstance(node.this, exp.Identifier):
                raise PredicateError(f"{node.sql()} is no feature", *_place(node))
            if node.name not in known:
                near = _near(node.name, known)
                raise PredicateError(
                    f"unknown feature {node.name!r}" + (f"; did you mean {near}?" if near else ""), *_place(node)
                )
            put(I_FEATURE, names.setdefault(node.name, len(names)))
        elif isinstance(node, exp.Literal):
            if node.is_string:
                raise PredicateError(f"text {node.sql()} is not allowed; features are figures", *_place(node))
            put(I_CONST, float(node.this))
        elif type(node) in _BINARY:
            logic = isinstance(node, exp.And | exp.Or)
            truth(node.this, logic)
            truth(node.expression, logic)
            walk(node.this)
            walk(node.expression)
            put(_BINARY[type(node)])
        elif isinstance(node, exp.Neg):
            truth(node.this, False)
            walk(node.this)
            put(I_NEG)
        elif isinstance(node, exp.Not):
            truth(node.this, True)
            walk(node.this)
            put(I_NOT)
        elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            truth(node.this, False)
            walk(node.this)
            put(I_IS_NULL)
        elif isinstance(node, exp.Between):
            _both(node, walk, put)
        elif isinstance(node, exp.In) and node.expressions and not node.args.get("query"):
            for i, item in enumerate(node.expressions):
                walk(node.this)
                walk(item)
                put(I_EQ)
                if i:
                    put(I_OR)
        elif isinstance(node, exp.Coalesce):
            walk(node.this)
            for item in node.expressions:
                walk(item)
                put(I_COALESCE)
        else:
            what = f"{node.sql()!r} is not allowed in a rule ({type(node).__name__})"
            raise PredicateError(what, *_sought(node, text))

    walk(tree)
    if _depth(ops) > STACK:
        raise PredicateError("the expression is nested too deeply")
    return Program(tuple(ops), tuple(args), tuple(names))


def _both(node: exp.Between, walk: Callable[[exp.Expression], None], put: Callable[..., None]) -> None:
    walk(node.this)
    walk(node.args["low"])
    put(I_GE)
    walk(node.this)
    walk(node.args["high"])
    put(I_LE)
    put(I_AND)


def _depth(ops: list[int]) -> int:
    depth = deepest = 0
    for op in ops:
        if op in (I_CONST, I_FEATURE):
            depth += 1
        elif op not in (I_NEG, I_NOT, I_IS_NULL):
            depth -= 1
        deepest = max(deepest, depth)
    return deepest


def _near(name: str, known: Collection[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
