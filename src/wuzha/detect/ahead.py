"""Memory that the next events will touch is asked for ahead of time, so that it is there when they are read.

Kept true here: nothing is read that decides anything and nothing is written; results are the same without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiling import inlined
from .windows import pair_key, place_of

#: Events between asking for subjects and reading the event; half as many for what the subjects point to.
FAR, NEAR = 16, 8
_LINE = 64


@intrinsic
def fetch(typing_context: Any, array: Any, index: Any, offset: Any) -> Any:
    """Ask for the cache line ``offset`` bytes into record ``index`` of an array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, values[0])
        at = context.cast(builder, values[1], signature.args[1], types.intp)
        more = context.cast(builder, values[2], signature.args[2], types.intp)
        size = context.get_constant(types.intp, signature.args[0].dtype.size)
        byte = builder.bitcast(held.data, ir.IntType(8).as_pointer())
        line = builder.gep(byte, [builder.add(builder.mul(at, size), more)])
        small = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [line.type, small, small, small])
        call = builder.module.declare_intrinsic("llvm.prefetch", [line.type], kind)
        builder.call(call, [line, small(0), small(3), small(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@inlined
def _subject(S, s):
    fetch(S.subjects, s, 0)
    fetch(S.subjects, s, _LINE)
    fetch(S.tallies, s, 0)
    fetch(S.tallies, s, _LINE)
    fetch(S.tallies, s, 2 * _LINE)


@inlined
def _windows(S, s):
    x = S.subjects[s]
    if x.cells >= 0:
        fetch(S.cells, np.int64(x.cells) + x.n_cells - 1, 0)
        fetch(S.cells, np.int64(x.cells) + x.n_cells - 1, _LINE)
    if x.owner >= 0:
        fetch(S.members, x.owner, 0)


@inlined
def ask(E, S, i, end, group):
    """What events i + NEAR and i + FAR will touch. ``group``: by table, that of `windows.first_contact`; 0 none."""
    j = i + FAR
    if j < end:
        fetch(S.seen, place_of(S.seen, E.identity[j]), 0)
        for c in range(3):
            if E.ids[j, c] >= 0:
                _subject(S, E.ids[j, c])
    j = i + NEAR
    if j < end:
        for c in range(2):
            if E.ids[j, c] >= 0:
                _windows(S, E.ids[j, c])
        g = group[E.table[j]]
        if g > 0 and E.ids[j, 0] >= 0 and E.ids[j, 1] >= 0:
            key = pair_key(S.subjects[E.ids[j, 0]].key, S.subjects[E.ids[j, 1]].key, g)
            fetch(S.pairs, place_of(S.pairs, key), 0)
