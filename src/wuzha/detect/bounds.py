"""What a rule needs at least: so many events of some kinds within its windows. Derived from the rule's own program.

Kept true here: a rule that its needs rule out cannot hold, whatever the other figures are; so leaving it unjudged
changes no result. A need is a clause of atoms (feature, events); one atom of every clause must be met.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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
    I_NEG,
    I_NOT,
    I_OR,
    I_SUB,
)
from .layout import N_OWN, N_PLANS, N_SIGNALS, N_SPANS, OWN_SPANS, SPANS, Array
from .predicate import Program
from .rulebook import Feature

#: More events than this are never asked for: counts stop at 255, and distinct counterparts are kept as 64 bits.
MOST = 64
Atom = tuple[int, int]
Clause = tuple[Atom, ...]


@dataclass(frozen=True)
class Range:
    """What a figure may be: from low to high (nothing where low > high), and whether it may be null."""

    low: float
    high: float
    null: bool

    @property
    def some(self) -> bool:
        """Whether it may be a number."""
        return self.low <= self.high


_ANY = Range(-math.inf, math.inf, True)
_NULL = Range(1.0, 0.0, True)


@dataclass(frozen=True)
class Node:
    """One instruction with what it takes."""

    op: int
    arg: float
    inner: tuple[Node, ...]


def tree(program: Program, index: dict[str, int]) -> Node:
    """A program's instructions as a tree; feature arguments become indices of the whole book."""
    stack: list[Node] = []
    for op, arg in zip(program.ops, program.args, strict=True):
        if op == I_FEATURE:
            stack.append(Node(op, float(index[program.features[int(arg)]]), ()))
        elif op == I_CONST:
            stack.append(Node(op, arg, ()))
        else:
            k = 1 if op in (I_NEG, I_NOT, I_IS_NULL) else 2
            inner = tuple(stack[-k:])
            del stack[-k:]
            stack.append(Node(op, 0.0, inner))
    return stack[0]


def _spread(n: int) -> float:
    return 300.0 if n >= MOST else float(np.rint(-64.0 * np.log(1.0 - n / 64.0)))


def figure(feature: Feature, most: float) -> Range:
    """What a feature may be where at most ``most`` of its events lie in the window."""
    if feature.op == "count":
        return Range(0.0, most, False)
    if feature.op == "distinct":
        return Range(0.0, 300.0 if most >= MOST else _spread(int(most)), False)
    if feature.op == "days":
        return Range(0.0, min(most, 64.0), False)
    if feature.op == "sum":
        return Range(0.0, 0.0, False) if most == 0 else Range(-math.inf, math.inf, False)
    return _NULL if most == 0 and feature.op in ("max", "since_first", "since_last") else _ANY


def _spanned(values: list[float], null: bool) -> Range:
    if any(math.isnan(v) for v in values):
        return Range(-math.inf, math.inf, null)
    return Range(min(values), max(values), null)


def _compared(op: int, x: Range, y: Range) -> tuple[bool, bool]:
    """Whether the comparison may be true, and may be false."""
    if op == I_LT:
        return x.low < y.high, x.high >= y.low
    if op == I_LE:
        return x.low <= y.high, x.high > y.low
    if op == I_GT:
        return x.high > y.low, x.low <= y.high
    if op == I_GE:
        return x.high >= y.low, x.low < y.high
    meet = x.low <= y.high and y.low <= x.high
    fixed = x.low == x.high == y.low == y.high
    return (meet, not fixed) if op == I_EQ else (not fixed, meet)


def possible(node: Node, of: Callable[[int], Range]) -> Range:
    """What a program may come to where feature ``f`` may be ``of(f)``."""
    if node.op == I_CONST:
        return Range(node.arg, node.arg, False)
    if node.op == I_FEATURE:
        return of(int(node.arg))
    x = possible(node.inner[0], of)
    if node.op == I_IS_NULL:
        return Range(0.0 if x.some else 1.0, 1.0 if x.null else 0.0, False)
    if node.op == I_NEG:
        return Range(-x.high, -x.low, x.null)
    if node.op == I_NOT:
        return Range(1.0 - x.high, 1.0 - x.low, x.null)
    y = possible(node.inner[1], of)
    null = x.null or y.null
    if node.op == I_COALESCE:
        if not x.some or not y.some:
            return y if not x.some else Range(x.low, x.high, null and x.null)
        return Range(min(x.low, y.low), max(x.high, y.high), y.null) if x.null else x
    if node.op in (I_AND, I_OR):
        return _joined(node.op, x, y)
    if not x.some or not y.some:
        return _NULL
    if node.op == I_ADD:
        return _spanned([x.low + y.low, x.high + y.high], null)
    if node.op == I_SUB:
        return _spanned([x.low - y.high, x.high - y.low], null)
    if node.op == I_MUL:
        return _spanned([a * b for a in (x.low, x.high) for b in (y.low, y.high)], null)
    if node.op == I_DIV:
        if y.low == y.high == 0.0:
            return _NULL
        return Range(-math.inf, math.inf, null or y.low <= 0.0 <= y.high)
    true, false = _compared(node.op, x, y)
    return Range(0.0 if false else 1.0, 1.0 if true else 0.0, null)


def _joined(op: int, x: Range, y: Range) -> Range:
    """SQL's AND and OR of what two truths may be; what may be null may leave the whole null."""
    may = [(r.some and r.high >= 1.0, r.some and r.low <= 0.0) for r in (x, y)]
    if op == I_AND:
        true, false = may[0][0] and may[1][0], may[0][1] or may[1][1]
    else:
        true, false = may[0][0] or may[1][0], may[0][1] and may[1][1]
    return Range(0.0 if false else 1.0, 1.0 if true else 0.0, x.null or y.null)


def _conjuncts(node: Node) -> list[Node]:
    return [c for part in node.inner for c in _conjuncts(part)] if node.op == I_AND else [node]


class Needs:
    """The clauses of rules over one book's features."""

    def __init__(self, features: list[Feature], index: dict[str, int], reads: dict[int, set[int]]) -> None:
        self._features, self._reads = features, reads
        self._index = index
        self._formulas = {i: tree(f.program, index) for i, f in enumerate(features) if f.program is not None}

    def of(self, program: Program) -> list[Clause]:
        """What must be met for the program to be true."""
        return list(dict.fromkeys(self._clauses(tree(program, self._index))))

    def at_most(self, program: Program) -> list[Atom]:
        """Features, each with the most events of it with which the program may be true."""
        out: list[Atom] = []
        for part in _conjuncts(tree(program, self._index)):
            for f in sorted({f for name in self._named(part) for f in self._reads[name]}):
                if self._features[f].op == "count" and self._features[f].skip_min == 0:
                    most = next(
                        (k for k in range(MOST) if not self._may(part, {f: Range(k + 1.0, math.inf, False)})), None
                    )
                    out += [] if most is None else [(f, most)]
        return out

    def plans(self, program: Program) -> int:
        """Bits of the plans with which the program may be true."""
        node = tree(program, self._index)
        read = {f for name in self._named(node) for f in self._reads[name] if self._features[f].attribute == "plan"}
        return sum(
            1 << plan
            for plan in range(N_PLANS)
            if self._may(node, dict.fromkeys(read, Range(plan, plan, False) if plan else _NULL))
        )

    def _may(self, node: Node, given: dict[int, Range]) -> bool:
        """Whether the node may be true where features are as ``given``, all others whatever they may be."""
        known = dict(given)

        def of(i: int) -> Range:
            if i not in known:
                formula = self._formulas.get(i)
                known[i] = figure(self._features[i], math.inf) if formula is None else possible(formula, of)
            return known[i]

        r = possible(node, of)
        return r.some and r.high >= 1.0

    def _clauses(self, node: Node) -> list[Clause]:
        if node.op == I_AND:
            return [c for part in node.inner for c in self._clauses(part)]
        if node.op == I_OR:
            one, other = (self._strongest(part) for part in node.inner)
            return [] if one is None or other is None else [tuple(dict.fromkeys((*one, *other)))]
        named = {f for name in self._named(node) for f in self._reads[name]}
        counted = [f for f in sorted(named) if self._features[f].op != "register"]
        least = [(f, self._least(node, f)) for f in counted]
        alone: list[Clause] = [((f, k),) for f, k in least if k]
        if alone or not counted or self._true(node, counted, 0):
            return alone
        return [tuple((f, 1) for f in counted)]

    def _strongest(self, node: Node) -> Clause | None:
        clauses = self._clauses(node)
        return max(clauses, key=lambda c: (-len(c), min(k for _, k in c)), default=None)

    def _named(self, node: Node) -> set[int]:
        if node.op == I_FEATURE:
            return {int(node.arg)}
        return {f for part in node.inner for f in self._named(part)}

    def _least(self, node: Node, f: int) -> int:
        """Fewest events of ``f`` with which the node may be true; 0 where it needs none."""
        least = 0
        while least < MOST and not self._true(node, [f], least):
            least += 1
        return least

    def _true(self, node: Node, few: list[int], most: int) -> bool:
        """Whether the node may be true where at most so many events of each of ``few`` lie in their windows."""
        return self._may(node, {f: figure(self._features[f], float(most)) for f in few})


@dataclass(frozen=True)
class Bounds:
    """Signals (sets of event codes counted together in spans of time), and rules' clauses over them, as arrays.

    Group 0 are the signals of rules on persons, group 1 those of rules on all others; each is numbered from 0.
    """

    signal_at: Array  # [group, code] -> begin in signal_list
    signal_n: Array
    signal_list: Array
    span_at: Array  # of each group in turn: span -> first signal; the last entry ends them
    clause_at: Array  # rule -> begin in clauses
    clause_n: Array
    atom_at: Array  # clause -> begin in atoms
    atom_n: Array
    atom_signal: Array
    atom_span: Array
    atom_least: Array
    must: Array  # [rule, 2] bits of signals without any of which it cannot hold
    span_bits: Array  # [group, span, 2] bits of the span's signals
    plans: Array  # rule -> bits of the plans with which it may hold
    cap_at: Array  # rule -> begin in caps: counts above which it cannot hold
    cap_n: Array
    cap_signal: Array
    cap_span: Array
    cap_both: Array  # 1: the window holds what was counted in the span before too
    cap_most: Array


def bounds(
    rules: list[tuple[bool, Program]], needs: Needs, codes_of: dict[int, np.ndarray], reach: np.ndarray
) -> Bounds:
    """Signals and clauses of rules' programs, each with whether it speaks of a person. ``codes_of``: which codes a
    feature counts; ``reach``: its buckets back.

    Where there are more signals than the state has room for, clauses that want them fall away.
    """
    wanted = [(0 if person else 1, needs.of(program)) for person, program in rules]
    capped = [[] if person else needs.at_most(program) for person, program in rules]
    asked: tuple[dict[tuple[int, bytes], int], ...] = ({}, {})
    signal_of: dict[int, tuple[int, bytes]] = {}
    for group, clauses in wanted:
        for f, _ in (atom for clause in clauses for atom in clause):
            here = OWN_SPANS if group else range(len(SPANS))
            span = next((i for i in here if reach[f] <= SPANS[i]), len(SPANS))
            signal_of[f] = (span, codes_of[f].tobytes())
            asked[group][signal_of[f]] = asked[group].get(signal_of[f], 0) + 1
    cap_of: dict[int, tuple[tuple[int, bytes], bool]] = {}
    for f, _ in (cap for caps in capped for cap in caps):
        # two spans that the window is sure to hold, or this one of the window's own width
        inside = [(i, True) for i in OWN_SPANS if 2 * SPANS[i] <= reach[f]]
        inside = inside[-1:] or [(i, False) for i in OWN_SPANS if SPANS[i] == reach[f]]
        for span, both in inside:
            cap_of[f] = ((span, codes_of[f].tobytes()), both)
            asked[1].setdefault(cap_of[f][0], 0)
    n_codes = len(next(iter(codes_of.values()))) if codes_of else 1
    at, n, flat = np.zeros((2, n_codes), np.int32), np.zeros((2, n_codes), np.int32), list[int]()
    spans: list[int] = []
    number: list[dict[tuple[int, bytes], int]] = []
    for group, most in enumerate((N_SIGNALS, N_OWN)):
        times = asked[group]
        kept = sorted(sorted(times, key=lambda s: -times[s])[:most])
        number.append({signal: i for i, signal in enumerate(kept)})
        spans += [sum(signal[0] < span for signal in kept) for span in range(len(SPANS) + 2)]
        lists: dict[int, list[int]] = {}
        for signal, i in number[group].items():
            for code in np.flatnonzero(np.frombuffer(signal[1], bool)).tolist():
                lists.setdefault(code, []).append(i)
        for code, mine in lists.items():
            at[group, code], n[group, code] = len(flat), len(mine)
            flat += mine
    rule_at, rule_n = [], []
    atom_at, atom_n, atoms = list[int](), list[int](), list[tuple[int, int, int]]()
    for group, clauses in wanted:
        known = number[group]
        rule_at.append(len(atom_at))
        # what is hardest to meet is asked first
        for clause in sorted(clauses, key=lambda c: (len(c), -min(k for _, k in c))):
            if all(signal_of[f] in known for f, _ in clause):
                atom_at.append(len(atoms))
                atom_n.append(len(clause))
                atoms += [(known[signal_of[f]], signal_of[f][0], k) for f, k in clause]
        rule_n.append(len(atom_at) - rule_at[-1])
    must, span_bits = np.zeros((len(rules), 2), np.uint64), np.zeros((2, N_SPANS, 2), np.uint64)
    for r, (group, clauses) in enumerate(wanted):
        for f in (clause[0][0] for clause in clauses if len(clause) == 1 and signal_of[clause[0][0]] in number[group]):
            must[r] |= _bit(number[group][signal_of[f]])
    for group in range(2):
        for (span, _), i in number[group].items():
            span_bits[group, span] |= _bit(i)
    cap_at, caps = list[int](), list[tuple[int, int, int, int]]()
    for limits in capped:
        cap_at.append(len(caps))
        told = [(*cap_of[f], k) for f, k in limits if f in cap_of and cap_of[f][0] in number[1]]
        caps += [(number[1][signal], signal[0], int(both), k) for signal, both, k in told]
    plans = [(1 << N_PLANS) - 1 if person else needs.plans(program) for person, program in rules]
    return Bounds(
        at, n, _i4(flat), _i4(spans), _i4(rule_at), _i4(rule_n), _i4(atom_at), _i4(atom_n),
        _i4([signal for signal, _, _ in atoms]), _i4([span for _, span, _ in atoms]), _i4([k for _, _, k in atoms]),
        must, span_bits, np.array(plans, np.int64), _i4(cap_at), _i4(np.diff([*cap_at, len(caps)]).tolist()),
        *(_i4([cap[i] for cap in caps]) for i in range(4)),
    )  # fmt: skip


def _bit(signal: int) -> Array:
    out = np.zeros(2, np.uint64)
    out[signal // 64] = 1 << (signal % 64)
    return out


def _i4(values: list[int]) -> np.ndarray:
    return np.array(values if values else [0], np.int32)
