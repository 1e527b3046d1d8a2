"""How a turn's JSON becomes few bytes: compressed against the turns before it.

What a conversation says again in every turn (instructions, tools, a client's own copy of what came before) costs
next to nothing so. ``earlier`` is the JSON of the turns before, oldest first; its end alone is used.

Packed: ``j`` + the JSON, or ``z`` + the number of bytes of ``earlier`` that were used (2 bytes, big-endian) + zlib
(RFC 1950), whose header holds a checksum of those bytes.
"""

import zlib

WINDOW_BYTES = 16_384
_WINDOW_BITS = 14  # 2 ** 14 bytes
_PLAIN, _COMPRESSED = b"j", b"z"
_LEAST_BYTES = 100  # less does not pay
_LARGE_BYTES = 1 << 20  # from here on speed matters more than the last few percent


class Unpackable(ValueError):
    """Bytes that ``pack`` did not make, that were made after other turns, or that are too large unpacked."""


def pack(data: bytes, earlier: bytes = b"") -> bytes:
    if len(data) < _LEAST_BYTES:
        return _PLAIN + data
    window = earlier[-min(WINDOW_BYTES, 4 * len(data)) :]
    level = 1 if len(data) > _LARGE_BYTES else 6
    options = (level, zlib.DEFLATED, _WINDOW_BITS, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    compressor = zlib.compressobj(*options, window) if window else zlib.compressobj(*options)
    packed = compressor.compress(data) + compressor.flush()
    if len(packed) + 3 > len(data):
        return _PLAIN + data
    return _COMPRESSED + len(window).to_bytes(2, "big") + packed


def unpack(packed: bytes, earlier: bytes, max_bytes: int) -> bytes:
    """The JSON that was packed after ``earlier``. Raises Unpackable, also for more than ``max_bytes``."""
    if packed[:1] == _PLAIN:
        data = packed[1:]
    elif packed[:1] == _COMPRESSED:
        size = int.from_bytes(packed[1:3], "big")
        window = earlier[-size:] if size else b""
        try:
            decompressor = zlib.decompressobj(_WINDOW_BITS, window) if window else zlib.decompressobj(_WINDOW_BITS)
            data = decompressor.decompress(packed[3:], max_bytes + 1)
        except zlib.error as error:
            raise Unpackable("A stored turn was made after other turns, or is damaged.") from error
        if not decompressor.eof and len(data) <= max_bytes:
            raise Unpackable("A stored turn ends early.")
    else:
        raise Unpackable("A stored turn has an unknown form.")
    if len(data) > max_bytes:
        raise Unpackable(f"A stored turn has more than {max_bytes} bytes.")
    return data
