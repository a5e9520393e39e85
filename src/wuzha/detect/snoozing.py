"""The kernel that keeps a rule still on one subject until its snooze ends.

Kept true here: a snooze ends by the events' own time, so a replay of the log ends it at the same event.
"""

from __future__ import annotations

import numpy as np

from .codes import K_PERSON
from .compiling import inner


@inner
def snoozed(S, B, s, begin, n_rules, known, seen):
    """Mark in ``seen`` the listed rules that are snoozed on ``s``, or on another name of that person; how many."""
    n = 0
    p = np.int64(s)
    while True:
        key = S.subjects[p].key
        low, high = 0, B.snooze_key.shape[0]
        while low < high:
            middle = (low + high) // 2
            if B.snooze_key[middle] < key:
                low = middle + 1
            else:
                high = middle
        while low < B.snooze_key.shape[0] and B.snooze_key[low] == key:
            if known < B.snooze_until[low]:
                for i in range(begin, begin + n_rules):
                    r = B.rule_list[i]
                    if r == B.snooze_rule[low] and seen[r] == 0:
                        seen[r] = 1
                        n += 1
            low += 1
        if S.subjects[s].kind != K_PERSON:
            return n
        p = np.int64(S.subjects[p].twin)
        if p == s:
            return n
