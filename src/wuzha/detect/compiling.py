"""How kernels are compiled: kept on disk, and no more of them than is entered from Python made callable from it.

Kept true here: the engine's state and book are some seventy arrays, which a call hands over one by one. So what every
event runs through is compiled into the kernel that calls it, and only what is rare is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
from numba.core import cgutils, types
from numba.extending import intrinsic


def _plain(kind: types.Type) -> types.Type:
    """The type of an argument without what would make another kernel of it: its value, or how short an integer is."""
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.bitwidth < 64 else kind


def _once(**options: bool) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit`, with one machine code for callers that differ in literals and short integers only."""

    def compiled(function: Callable[..., Any]) -> Any:
        kernel = nb.njit(cache=True, **options)(function)
        template = kernel.get_call_template

        def get_call_template(args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
            return template(tuple(_plain(a) for a in args), {name: _plain(a) for name, a in kws.items()})

        kernel.get_call_template = get_call_template
        return kernel

    return compiled


#: A kernel that Python calls.
entered = _once()
#: A kernel that kernels call: no wrappers for callers from elsewhere.
inner = _once(no_cpython_wrapper=True, no_cfunc_wrapper=True)
#: A kernel that is compiled into those that call it.
inlined = _once(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


@intrinsic
def borrowed(typing_context: Any, arrays: types.BaseTuple) -> Any:
    """A tuple's arrays as they are, without their counts of references: who calls the kernel holds them meanwhile.

    Else every look at an array counts up and down in memory, a third of the kernels' time.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        out = []
        for kind, value in zip(signature.args[0], cgutils.unpack_tuple(builder, values[0]), strict=True):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            array.parent = cgutils.get_null_value(array.parent.type)
            out.append(array._getvalue())
        return context.make_tuple(builder, signature.return_type, out)

    return arrays(arrays), generate
