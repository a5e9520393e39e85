"""How kernels are compiled: kept on disk, and no more of them than is entered from Python made callable from it.

Kept true here: the engine's state and book are some seventy arrays, which a call hands over one by one. So what every
event runs through is compiled into the kernel that calls it, and only what is rare is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba as nb
from llvmlite import ir
from numba.core import cgutils, codegen, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from numba.np import arrayobj


def _plain(kind: types.Type) -> types.Type:
    """The type of an argument without what would make another kernel of it: its value, or how short an integer is."""
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.bitwidth < 64 else kind


def _plain_index(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
    return context.cast(builder, index, kind, types.intp if kind.signed else types.uintp)


def _only_linked(library: Any) -> None:
    library._finalize_dynamic_globals()
    library._finalized = True


def _no_environment(machine: Any, name: str, environment: Any) -> None:
    pass


_PARTS = (
    (arrayobj, "fix_integer_index"), (codegen.CPUCodeLibrary, "_finalize_final_module"),
    (codegen.JITCPUCodegen, "set_env"),
)  # fmt: skip
_NUMBAS = tuple(getattr(owner, name) for owner, name in _PARTS)


@contextmanager
def _compiling(alone: bool) -> Iterator[None]:
    """How a kernel is compiled.

    A negative index is no place from the end: to look for it costs every access three instructions, and no kernel here
    has one. A kernel that never runs ``alone`` gets no machine code of its own, only in those that call it.
    """
    here = (_plain_index, *(_NUMBAS[1:] if alone else (_only_linked, _no_environment)))
    with global_compiler_lock:
        before = [getattr(owner, name) for owner, name in _PARTS]
        for (owner, name), part in zip(_PARTS, here, strict=True):
            setattr(owner, name, part)
        try:
            yield
        finally:
            for (owner, name), part in zip(_PARTS, before, strict=True):
                setattr(owner, name, part)


def _once(*, alone: bool = False, **options: bool) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit`, with one machine code for callers that differ in literals and short integers only."""

    def compiled(function: Callable[..., Any]) -> Any:
        kernel = nb.njit(cache=alone, **options)(function)
        compile_one = kernel._compiler.compile

        def compile_here(*args: Any, **kws: Any) -> Any:
            with _compiling(alone):
                return compile_one(*args, **kws)

        kernel._compiler.compile = compile_here
        template = kernel.get_call_template

        def get_call_template(args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
            return template(tuple(_plain(a) for a in args), {name: _plain(a) for name, a in kws.items()})

        kernel.get_call_template = get_call_template
        return kernel

    return compiled


#: A kernel that Python calls.
entered = _once(alone=True, nogil=True)
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
