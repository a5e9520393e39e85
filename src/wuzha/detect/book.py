"""What the kernels know of features, rules and typologies: flat tables, so that a change needs no compilation."""

from __future__ import annotations

from typing import NamedTuple

from .layout import Array

#: Operations of base features, in the order of their codes.
BASE = ("count", "sum", "max", "distinct", "since_first", "since_last", "days", "register", "formula")
(O_COUNT, O_SUM, O_MAX, O_DISTINCT, O_SINCE_FIRST, O_SINCE_LAST, O_DAYS, O_REGISTER, O_FORMULA) = range(9)
#: Attributes of a subject that are no window.
REGISTER = (
    "age_days", "silent_days", "plan", "users", "known_minutes", "suspect", "owns_suspect", "suspect_confirmed",
    "young_subject",
)  # fmt: skip
(A_AGE, A_SILENT, A_PLAN, A_USERS, A_KNOWN, A_SUSPECT, A_OWNS, A_CONFIRMED, A_YOUNG) = range(9)
#: Instructions of predicates and formulas.
INSTRUCTIONS = (
    "const", "feature", "add", "sub", "mul", "div", "neg", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not",
    "is_null", "coalesce",
)  # fmt: skip
(
    I_CONST, I_FEATURE, I_ADD, I_SUB, I_MUL, I_DIV, I_NEG, I_LT, I_LE, I_GT, I_GE, I_EQ, I_NE, I_AND, I_OR, I_NOT,
    I_IS_NULL, I_COALESCE,
) = range(18)  # fmt: skip
STACK = 32


class Book(NamedTuple):
    """Features × codes, programs, rules, typologies as arrays. CSR pairs are (start, count) by [kind, code]."""

    keep: Array  # code -> buckets kept, 0 not kept
    feature_at: Array  # [kind, code] -> begin in feature_list
    feature_n: Array
    feature_list: Array
    rule_at: Array  # [kind, code] -> begin in rule_list
    rule_n: Array
    rule_list: Array
    set_of: Array  # [kind, code] -> number of the set of features that count it; 0 is the empty set
    class_of: Array  # [kind, code] -> class of what its rules read; class k < len(KINDS) is all of kind k
    class_of_rule: Array  # rule -> class of what it alone reads
    guarded: Array  # class -> the class that reads money at risk besides
    risk_of: Array  # kind -> the class that reads money at risk only
    reach: Array  # class -> buckets back to which its windows go
    need_at: Array  # [class, set] -> begin in need_list: features of the set that the class reads
    need_n: Array
    need_list: Array
    base_at: Array  # class -> begin of its base features in base_list
    base_n: Array
    base_list: Array
    op: Array  # by feature
    width: Array  # buckets
    skip: Array  # buckets before now that are left out
    end: Array  # width + skip: from so many buckets back on an event does not count
    attribute: Array
    formula_at: Array  # by feature: its program
    formula_n: Array
    derived_at: Array  # class -> begin in derived_list, in the order of computing
    derived_n: Array
    derived_list: Array
    risk: Array  # 1: the feature is money at risk
    stirs: Array  # code -> 1: such an event may make a person's money at risk more
    still: Array  # kind -> 1: without such an event it never grows
    code_op: Array  # programs
    code_arg: Array
    when_at: Array  # by rule: its program
    when_n: Array
    cooldown: Array
    stage: Array
    opens: Array  # 1: an alert at the least of level low
    args: Array  # [rule, N_ARGS] features, -1 none
    n_args: Array
    uses: Array  # [rule, feature] 1 where its events are cited
    number: Array  # rule -> number that never changes (kept in evidence)
    by_number: Array
    weight: Array  # [typology, rule]
    level: Array  # [typology, 4] thresholds low … urgent
    halflife: Array  # µs
    kind: Array  # typology -> subject kind
    hint: Array  # typology -> hint of its scam type's parent
    suspect: Array  # typology -> bit of SUSPECTS
    urgent_stage: Array
    snooze_key: Array  # hashes of subjects, rising: rule snooze_rule gives no evidence on them before snooze_until, µs
    snooze_rule: Array
    snooze_until: Array
    signal_at: Array  # `bounds.Bounds`: what rules need at least
    signal_n: Array
    signal_list: Array
    span_at: Array
    clause_at: Array
    clause_n: Array
    atom_at: Array
    atom_n: Array
    atom_signal: Array
    atom_span: Array
    atom_least: Array
    must: Array
    span_bits: Array
    plans: Array
    cap_at: Array
    cap_n: Array
    cap_signal: Array
    cap_span: Array
    cap_both: Array
    cap_most: Array
