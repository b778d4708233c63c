"""XXH3-64 with seed 0: the checksum of the sections of a `.dyn` file.

Written from the published description of XXH3. Long inputs are hashed with numpy.
"""

from __future__ import annotations

from typing import Any, Union

import numpy as np

Bytes = Union[bytes, memoryview]
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_MASK = (1 << 64) - 1
_PRIME32_1, _PRIME32_2, _PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME64_4, _PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_STRIPE, _STRIPES = 64, 16  # bytes of a stripe, stripes of a block
_BLOCK = _STRIPE * _STRIPES
_AT_ONCE = 4096  # blocks


def _word(data: Bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _swapped(value: int) -> int:
    return int.from_bytes(value.to_bytes(8, "little"), "big")


def _fold(a: int, b: int) -> int:
    product = a * b
    return (product & _MASK) ^ (product >> 64)


def _avalanche(h: int) -> int:
    h = ((h ^ (h >> 37)) * 0x165667919E3779F9) & _MASK
    return h ^ (h >> 32)


def _avalanche_xxh64(h: int) -> int:
    h = ((h ^ (h >> 33)) * _PRIME64_2) & _MASK
    h = ((h ^ (h >> 29)) * _PRIME64_3) & _MASK
    return h ^ (h >> 32)


def _mix(data: Bytes, at: int, secret: int) -> int:
    return _fold(_word(data, at) ^ _word(_SECRET, secret), _word(data, at + 8) ^ _word(_SECRET, secret + 8))


def _up_to_16(data: Bytes) -> int:
    n = len(data)
    if n == 0:
        return _avalanche_xxh64(_word(_SECRET, 56) ^ _word(_SECRET, 64))
    if n <= 3:
        packed = data[0] << 16 | data[n >> 1] << 24 | data[-1] | n << 8
        return _avalanche_xxh64(packed ^ _word(_SECRET, 0, 4) ^ _word(_SECRET, 4, 4))
    if n <= 8:
        h = _word(data, n - 4, 4) + (_word(data, 0, 4) << 32)
        h ^= _word(_SECRET, 8) ^ _word(_SECRET, 16)
        h ^= (h << 49 | h >> 15) & _MASK ^ (h << 24 | h >> 40) & _MASK
        h = (h * 0x9FB21C651E98DF25) & _MASK
        h = ((h ^ ((h >> 35) + n)) * 0x9FB21C651E98DF25) & _MASK
        return h ^ (h >> 28)
    low = _word(data, 0) ^ _word(_SECRET, 24) ^ _word(_SECRET, 32)
    high = _word(data, n - 8) ^ _word(_SECRET, 40) ^ _word(_SECRET, 48)
    return _avalanche((n + _swapped(low) + high + _fold(low, high)) & _MASK)


def _up_to_240(data: Bytes) -> int:
    n = len(data)
    h = n * _PRIME64_1
    if n <= 128:
        for pair in range((n - 1) // 32 + 1):
            h += _mix(data, 16 * pair, 32 * pair) + _mix(data, n - 16 * (pair + 1), 32 * pair + 16)
        return _avalanche(h & _MASK)
    h += sum(_mix(data, 16 * i, 16 * i) for i in range(8))
    h = _avalanche(h & _MASK)
    h += sum(_mix(data, 16 * i, 16 * (i - 8) + 3) for i in range(8, n // 16))
    return _avalanche((h + _mix(data, n - 16, 119)) & _MASK)


def _keys(at: int, stripes: int) -> np.ndarray[Any, Any]:
    """Returns the secrets of consecutive stripes, 8 words each. Each secret starts 8 bytes after the one before."""
    words = [np.frombuffer(_SECRET, "<u8", 8, at + 8 * i) for i in range(stripes)]
    return np.array(words, np.uint64).reshape(stripes, 8)


def _sums(data: np.ndarray[Any, Any], keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the values `[..., 8]` that stripes `[..., stripes, 8]` add to the accumulators."""
    keyed = data ^ keys
    products = (keyed & np.uint64(0xFFFFFFFF)) * (keyed >> np.uint64(32))
    neighbours = data.reshape(*data.shape[:-1], 4, 2)[..., ::-1].reshape(data.shape)
    return np.asarray((products + neighbours).sum(axis=-2, dtype=np.uint64))


def _long(data: Bytes) -> int:
    n = len(data)
    blocks = (n - 1) // _BLOCK
    words = np.frombuffer(data, "<u8", n // 8)
    scramble = np.frombuffer(_SECRET, "<u8", 8, 128)
    start = [_PRIME32_3, _PRIME64_1, _PRIME64_2, _PRIME64_3, _PRIME64_4, _PRIME32_2, _PRIME64_5, _PRIME32_1]
    state, keys = np.array(start, np.uint64), _keys(0, _STRIPES)
    for first in range(0, blocks, _AT_ONCE):
        part = words[first * _BLOCK // 8 : min(first + _AT_ONCE, blocks) * _BLOCK // 8]
        # The values that a block adds do not depend on the accumulators, so many blocks are summed at once.
        for added in _sums(part.reshape(-1, _STRIPES, 8), keys):
            state = state + added
            state = (state ^ (state >> np.uint64(47)) ^ scramble) * np.uint64(_PRIME32_1)
    stripes = (n - 1 - blocks * _BLOCK) // _STRIPE
    rest = words[blocks * _BLOCK // 8 :][: stripes * 8].reshape(stripes, 8)
    last = np.frombuffer(data, "<u8", 8, n - _STRIPE).reshape(1, 8)
    state = state + _sums(rest, _keys(0, stripes)) + _sums(last, _keys(121, 1))
    h = n * _PRIME64_1
    for i in range(4):
        pair = (int(state[2 * i]), int(state[2 * i + 1]))
        h += _fold(pair[0] ^ _word(_SECRET, 11 + 16 * i), pair[1] ^ _word(_SECRET, 19 + 16 * i))
    return _avalanche(h & _MASK)


def xxh3_64(data: Bytes) -> int:
    """Returns the XXH3-64 hash of `data` (seed 0), as an unsigned integer of 64 bits."""
    if len(data) <= 16:
        return _up_to_16(data)
    return _up_to_240(data) if len(data) <= 240 else _long(data)
