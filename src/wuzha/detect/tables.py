"""A rule book as the kernels' tables."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from wuzha.events import STAGES

from . import codes
from .book import BASE, INSTRUCTIONS, REGISTER, Book
from .bounds import Needs, bounds
from .codes import HINT, KIND, KINDS, MINUTE_US, N_CODES, SUSPECTS, TYPE_SHIFT
from .encode import key_hash
from .layout import N_ARGS
from .predicate import Program
from .rulebook import Feature, RuleBook

I_FEATURE = INSTRUCTIONS.index("feature")


def _codes_of(feature: Feature) -> np.ndarray:
    """Boolean by code: which events the feature counts. Not to be written to."""
    return _counted(feature.of, feature.where)


@lru_cache(maxsize=256)
def _counted(of: tuple[str, ...], where: tuple[str, ...]) -> np.ndarray:
    out = np.zeros(N_CODES, bool)
    flags = np.arange(1 << codes.SIDE_BIT)
    for item in of:
        kind, _, side = item.partition(".")
        fits = np.ones(flags.shape[0], bool)
        for w in where:
            mask = codes.flag(kind, w.lstrip("!"))
            fits &= (flags & mask == 0) if w.startswith("!") else (flags & mask != 0)
        begin = (codes.TYPE[kind] << TYPE_SHIFT) | (codes.SIDES[side or "out"] << codes.SIDE_BIT)
        out[begin : begin + flags.shape[0]] |= fits
    return out


def kept_of(features: Iterable[Feature]) -> np.ndarray:
    """By code, how many buckets back these features' windows reach; 0 where none counts it."""
    keep = np.zeros(N_CODES, np.int32)
    for f in features:
        if f.op not in ("formula", "register"):
            counted = _codes_of(f)
            keep[counted] = np.maximum(keep[counted], (f.window_min + f.skip_min) // 10)
    return keep


#: Tables of the rule books that were in use last, newest first: to make them takes longer than to restore an engine.
_MADE: list[tuple[RuleBook, Book]] = []
_MOST_MADE = 4


def tables(book: RuleBook) -> Book:
    """The arrays of `book.Book` for a rule book, made once; kinds index the first axis of [kind, code] tables."""
    for known, made in _MADE:
        if known is book:
            return made
    made = _tables(book)
    _MADE.insert(0, (book, made))
    del _MADE[_MOST_MADE:]
    return made


def _tables(book: RuleBook) -> Book:
    features = list(book.features.values())
    rules = list(book.rules.values())
    typologies = list(book.typologies.values())
    index = {f.name: i for i, f in enumerate(features)}
    n_f, n_r, n_k = len(features), len(rules), len(KINDS)

    base_codes: dict[int, np.ndarray] = {}
    reads: dict[int, set[int]] = {}
    for i, f in enumerate(features):
        if f.op == "formula":
            assert f.program is not None
            reads[i] = (
                set().union(*(reads[index[name]] for name in f.program.features)) if f.program.features else set()
            )
        else:
            reads[i] = {i}
            if f.op != "register":
                base_codes[i] = _codes_of(f)

    code_op: list[int] = []
    code_arg: list[float] = []

    def place(program: Program) -> tuple[int, int]:
        begin = len(code_op)
        for op, arg in zip(program.ops, program.args, strict=True):
            code_op.append(op)
            code_arg.append(float(index[program.features[int(arg)]]) if op == I_FEATURE else arg)
        return begin, len(program.ops)

    formula = np.zeros((2, n_f), np.int64)
    for i, f in enumerate(features):
        if f.program is not None:
            formula[:, i] = place(f.program)
    when = np.zeros((2, n_r), np.int64)
    uses = np.zeros((n_r, n_f), np.uint8)
    args = np.full((n_r, N_ARGS), -1, np.int32)
    for r, rule in enumerate(rules):
        when[:, r] = place(rule.program)
        for name in rule.program.features:
            for i in reads[index[name]]:
                uses[r, i] = 1
        for a, name in enumerate(rule.args):
            args[r, a] = index[name]

    keep = kept_of((*features, *book.kept))
    width = np.array([f.window_min // 10 for f in features], np.int32)
    skip = np.array([f.skip_min // 10 for f in features], np.int32)
    feature_at = np.zeros((n_k, N_CODES), np.int32)
    feature_n = np.zeros((n_k, N_CODES), np.int32)
    rule_at, rule_n = np.zeros_like(feature_at), np.zeros_like(feature_at)
    feature_list: list[int] = []
    rule_list: list[int] = []
    member = np.array([base_codes.get(i, np.zeros(N_CODES, bool)) for i in range(n_f)]).reshape(n_f, N_CODES)
    set_of, class_of = np.zeros((n_k, N_CODES), np.int32), np.zeros((n_k, N_CODES), np.int32)
    sets: list[list[int]] = [[]]
    classes = _Classes(features, reads)
    seen: dict[tuple[str, bytes], tuple[int, int, int, int, int, int]] = {}
    for kind in codes.JUDGED:
        k = KIND[kind]
        mine = np.array([f.subject == kind for f in features], bool)
        for code in np.flatnonzero(member[mine].any(axis=0)):
            hit = member[:, code] & mine
            key = (kind, hit.tobytes())
            if key not in seen:
                here = np.flatnonzero(hit).tolist()
                fire = [r for r, rule in enumerate(rules) if rule.subject == kind and uses[r, here].any()]
                asked = classes.number(k, {index[name] for r in fire for name in rules[r].program.features})
                seen[key] = (len(feature_list), len(here), len(rule_list), len(fire), len(sets), asked)
                feature_list += here
                rule_list += fire
                sets.append(here)
            (
                feature_at[k, code], feature_n[k, code], rule_at[k, code], rule_n[k, code], set_of[k, code],
                class_of[k, code],
            ) = seen[key]  # fmt: skip
    alone = [classes.number(KIND[rule.subject], {index[name] for name in rule.program.features}) for rule in rules]
    guarded, risk_of = classes.with_risk()
    base_at, base_n, base_list = _csr(classes.base)
    derived_at, derived_n, derived_list = _csr(classes.derived)
    need_at, need_n, need_list = _csr([[f for f in here if f in mine] for mine in classes.windows for here in sets])
    shape = (len(classes.windows), len(sets))
    reach = [max((int(width[f] + skip[f]) for f in mine), default=0) for mine in classes.windows]

    by_number = np.full(4096, -1, np.int32)
    for r, rule in enumerate(rules):
        by_number[rule.number] = r
    rule_index = {rule.id: r for r, rule in enumerate(rules)}
    for number, rule in book.former.items():
        by_number[number] = rule_index[rule.id]
    snoozes = sorted((key_hash(s.subject), rule_index[s.rule], s.until) for s in book.snoozes)
    weight = np.zeros((len(typologies), n_r))
    for t, typology in enumerate(typologies):
        for name, w in typology.weights.items():
            weight[t, rule_index[name]] = w
    at_risk = {k: [i for i in base_codes if features[i].risk and features[i].subject == KINDS[k]] for k in range(n_k)}
    sums = all(features[i].op in ("sum", "max", "count") and skip[i] == 0 for i in at_risk[KIND["person"]])
    still = [not mine or (k == KIND["person"] and sums) for k, mine in at_risk.items()]
    stirs = member[at_risk[KIND["person"]]].any(axis=0)
    spoken = [(rule.subject == "person", rule.program) for rule in rules]
    return Book(
        keep=keep, feature_at=feature_at, feature_n=feature_n, feature_list=_i4(feature_list), rule_at=rule_at,
        rule_n=rule_n, rule_list=_i4(rule_list), set_of=set_of, class_of=class_of,
        class_of_rule=_i4(alone), guarded=guarded, risk_of=risk_of,
        reach=_i4(reach), need_at=need_at.reshape(shape), need_n=need_n.reshape(shape), need_list=need_list,
        base_at=base_at, base_n=base_n, base_list=base_list,
        op=_i4([BASE.index(f.op) for f in features]), width=width, skip=skip, end=width + skip,
        attribute=_i4([REGISTER.index(f.attribute) if f.attribute else -1 for f in features]),
        formula_at=_i4(formula[0].tolist()), formula_n=_i4(formula[1].tolist()), derived_at=derived_at,
        derived_n=derived_n, derived_list=derived_list, risk=np.array([f.risk for f in features], np.uint8),
        stirs=np.asarray(stirs, np.uint8), still=np.array(still, np.uint8),
        code_op=_i4(code_op), code_arg=np.array(code_arg, np.float64), when_at=_i4(when[0].tolist()),
        when_n=_i4(when[1].tolist()), cooldown=np.array([r.cooldown_min * MINUTE_US for r in rules], np.int64),
        stage=_i4([STAGES.index(r.stage) for r in rules]), opens=_i4([int(r.opens) for r in rules]), args=args,
        n_args=_i4([len(r.args) for r in rules]), uses=uses, number=_i4([r.number for r in rules]),
        by_number=by_number, weight=weight,
        level=np.array([t.levels for t in typologies], np.float64).reshape(-1, 4),
        halflife=np.array([t.halflife_min * MINUTE_US for t in typologies], np.float64),
        kind=_i4([KIND[t.subject] for t in typologies]),
        hint=_i4([HINT.get(t.scam_type.partition(".")[0], 0) for t in typologies]),
        suspect=_i4([1 << SUSPECTS.index(t.id) if t.id in SUSPECTS else 0 for t in typologies]),
        urgent_stage=_i4([STAGES.index(t.urgent_stage) for t in typologies]),
        snooze_key=np.array([s[0] for s in snoozes], np.uint64),
        snooze_rule=np.array([s[1] for s in snoozes], np.int32),
        snooze_until=np.array([s[2] for s in snoozes], np.int64),
        **vars(bounds(spoken, Needs(features, index, reads), base_codes, width + skip)),
    )  # fmt: skip


def _i4(values: list[int]) -> np.ndarray:
    return np.array(values if values else [0], np.int32)


def _csr(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at, n, flat = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32), list[int]()
    for k, row in enumerate(rows):
        at[k], n[k] = len(flat), len(row)
        flat += row
    return at, n, _i4(flat)


class _Classes:
    """Groups of features that are computed together: first all of each kind, then what some event's rules read."""

    def __init__(self, features: list[Feature], reads: dict[int, set[int]]) -> None:
        self._features, self._reads = features, reads
        self._known: dict[tuple[int, frozenset[int]], int] = {}
        self.base: list[list[int]] = []
        self.derived: list[list[int]] = []
        self.windows: list[set[int]] = []
        self._kinds: list[int] = []
        for k, kind in enumerate(KINDS):
            self._add(k, [i for i, f in enumerate(features) if f.subject == kind])

    def _add(self, kind: int, mine: list[int]) -> int:
        ops = [self._features[i].op for i in mine]
        self.base.append([i for i, op in zip(mine, ops, strict=True) if op != "formula"])
        self.derived.append([i for i, op in zip(mine, ops, strict=True) if op == "formula"])
        self.windows.append({i for i, op in zip(mine, ops, strict=True) if op not in ("formula", "register")})
        self._kinds.append(kind)
        return len(self.base) - 1

    def number(self, kind: int, wanted: set[int]) -> int:
        """Class of the wanted features, the base features and formulas that these read included."""
        mine = set(wanted)
        todo = list(wanted)
        while todo:
            f = self._features[todo.pop()]
            for i in () if f.program is None else f.program.features:
                j = next(n for n, g in enumerate(self._features) if g.name == i)
                if j not in mine:
                    mine.add(j)
                    todo.append(j)
        key = (kind, frozenset(mine))
        if key not in self._known:
            self._known[key] = self._add(kind, sorted(mine))
        return self._known[key]

    def with_risk(self) -> tuple[np.ndarray, np.ndarray]:
        """For each class the one that reads money at risk too (all of a kind does); for each kind that alone."""
        risk = [
            {i for i, f in enumerate(self._features) if f.risk and f.subject == kind and f.op != "formula"}
            for kind in KINDS
        ]
        guarded = list(range(len(KINDS)))
        for c in range(len(KINDS), len(self.base)):
            kind = self._kinds[c]
            guarded.append(self.number(kind, {*self.base[c], *self.derived[c], *risk[kind]}))
        alone = [self.number(k, risk[k]) for k in range(len(KINDS))]
        guarded += range(len(guarded), len(self.base))
        return _i4(guarded), _i4(alone)
