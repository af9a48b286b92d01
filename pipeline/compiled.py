"""Compiles the hot loops with Numba, once a machine: later processes load the machine code from a cache.

Numba keeps the cache beside the module where that is writable, else in the user's cache folder, which serves modules in
a read-only place or a zip too. Where neither can be written, it goes to the machine's temporary folder.
"""

import getpass
import hashlib
import importlib.util
import os
import re
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_IMPORTED = re.compile(rf"^from ({__name__.partition('.')[0]}\.[\w.]+) import", re.MULTILINE)
# How many bytes are compared at once (``mask_equal``).
MASKED = 32


def compiled(function: Callable) -> Callable:
    """The function, compiled at its first call for the types of that call, without bounds checks or the GIL."""
    return _compiled(function)


def flat(function: Callable) -> Callable:
    """As ``compiled``, for one that makes no array: it becomes a part of those that call it.

    References to arrays are not counted, which would take longer than what a small function does.
    """
    return _compiled(function, forceinline=True, _nrt=False)


def _compiled(function: Callable, **more: bool) -> Callable:
    options = {"nogil": True, "boundscheck": False, **more}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no place for its cache.
        numba.config.CACHE_DIR = str(_temporary_cache())
        dispatcher = numba.njit(cache=True, **options)(function)
    # What is inlined from other modules is in the machine code; Numba looks at the function's own module alone.
    file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, sources_digest(function.__module__))
    return dispatcher


@lru_cache(None)
def sources_digest(module: str) -> str:
    """A digest of what a module imports of this package, and these modules in turn."""
    found, todo = {}, [module]
    while todo:
        if (name := todo.pop()) not in found:
            found[name] = _source(name)
            todo += _IMPORTED.findall(found[name])
    return hashlib.sha256("".join(found[name] for name in sorted(found)).encode()).hexdigest()


@lru_cache(None)
def _source(module: str) -> str:
    spec = None if module == "__main__" else importlib.util.find_spec(module)
    return (spec.loader.get_source(module) if spec else None) or ""


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


def _mask_of(compared: str):
    """Code that compares 32 bytes with one, and gives a bit for each."""

    def generate(context, builder, signature, arguments):
        data, index, byte = arguments
        vector = ir.VectorType(ir.IntType(8), MASKED)
        pointer = cgutils.gep_inbounds(
            builder, context.make_array(signature.args[0])(context, builder, data).data, index
        )
        found = builder.load(builder.bitcast(pointer, vector.as_pointer()))
        found.align = 1
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
        all_same = ir.Constant(ir.VectorType(ir.IntType(32), MASKED), [0] * MASKED)
        other = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), all_same)
        bits = builder.bitcast(builder.icmp_unsigned(compared, found, other), ir.IntType(MASKED))
        return builder.zext(bits, ir.IntType(64))

    return generate


@intrinsic
def mask_equal(typing_context, data, index, byte):
    """Which of the 32 bytes of a uint8 array from an index on are a byte, as bits of a uint64; no bounds check."""
    return types.uint64(data, types.int64, types.uint8), _mask_of("==")


@intrinsic
def mask_below(typing_context, data, index, byte):
    """Which of the 32 bytes of a uint8 array from an index on are below a byte, as ``mask_equal`` has them."""
    return types.uint64(data, types.int64, types.uint8), _mask_of("<")


@flat
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
