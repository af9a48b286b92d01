"""Compiles the hot loops with Numba, once a machine: later processes load the machine code from a cache.

Numba keeps the cache beside the module where that is writable, else in the user's cache folder, which serves modules in
a read-only place or a zip too. Where neither can be written, it goes to the machine's temporary folder.
"""

import getpass
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def compiled(function: Callable) -> Callable:
    """The function, compiled at its first call for the types of that call, without bounds checks or the GIL."""
    options = {"nogil": True, "boundscheck": False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no place for its cache.
        numba.config.CACHE_DIR = str(_temporary_cache())
        return numba.njit(cache=True, **options)(function)


def _temporary_cache() -> Path:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    folder = Path(tempfile.gettempdir()) / f"metaclip-numba-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@intrinsic
def load_word(typing_context, data, index):
    """The eight bytes of a uint8 array from an index on as a uint64, little-endian as the machine; no bounds check."""
    signature = types.uint64(data, types.int64)

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.gep_inbounds(builder, array.data, arguments[1])
        word = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return signature, generate


@intrinsic
def store_word(typing_context, data, index, word):
    """Puts eight bytes into a uint8 array from an index on, as ``load_word`` reads them; no bounds check."""
    signature = types.void(data, types.int64, types.uint64)

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.gep_inbounds(builder, array.data, arguments[1])
        builder.store(arguments[2], builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def lowest_bit(typing_context, word):
    """The place of the lowest bit of a uint64 that is set, 64 where none is."""
    signature = types.int64(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return signature, generate


@compiled
def copy_bytes(source, start, end, out, at):
    """Copies a run of bytes, eight at a time, and returns the place after it."""
    length = end - start
    if length < 8:
        for place in range(length):
            out[at + place] = source[start + place]
        return at + length
    for place in range(0, length - 8, 8):
        store_word(out, at + place, load_word(source, start + place))
    store_word(out, at + length - 8, load_word(source, end - 8))
    return at + length
