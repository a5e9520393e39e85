"""Arrays that a kernel looks at without counting that it does.

Kept true here: who calls the kernel holds the arrays for as long as it runs, and the kernel gives none of them away.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def borrowed(typing_context: Any, arrays: types.BaseTuple) -> Any:
    """A tuple's arrays as they are, without their counts of references, which every kernel that is handed the tuple
    would else count up and down, array by array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        out = []
        for kind, value in zip(signature.args[0], cgutils.unpack_tuple(builder, values[0]), strict=True):  # type: ignore[no-untyped-call]
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)  # type: ignore[no-untyped-call]
            array.parent = cgutils.get_null_value(array.parent.type)  # type: ignore[no-untyped-call]
            out.append(array._getvalue())
        return context.make_tuple(builder, signature.return_type, out)

    return arrays(arrays), generate
