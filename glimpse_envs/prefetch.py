"""The processor's prefetch instruction, for kernels that read scattered memory.

Many lanes look at as many images: what they read is rarely in the cache. Asking for the next lane's
memory while this lane's is worked on hides part of that wait. Without it, reading glimpses took
(medians, interleaved, 256 and 1,024 lanes on one quiet core of an AMD EPYC with 32 MiB of cache)

- 1.05 to 1.09 times as long on 45,000 images of 32 x 32 x 3, an 8 x 8 crop, at random zooms, and
  1.5 to 1.75 times as long at zoom 1; a whole step of ``GlimpseCIFAR-MultiCat-v0`` 1.08 times as
  long with 256 lanes and 1.25 times with 1,024;
- 1.08 to 1.11 times as long on 200 images of 512 x 512 x 3, a 16 x 16 crop, at random zooms, and
  1.45 to 1.75 times for a retina of three scales at zoom 1.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


@intrinsic
def _prefetch(typing_context, array, position):
    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


def _nothing(array, position):
    pass


#: ask for the cache line of an array's entry, reading nothing; without compilation there is no such
#: instruction, and nothing is asked for
prefetch = _nothing if config.DISABLE_JIT else _prefetch
