"""How the JSON of a conversation becomes few bytes: one deflate stream (RFC 1951), of which each turn is a piece.

A piece is compressed against the end of the text before it, so what a conversation says again in every turn costs
next to nothing. It ends at a byte, with the mark that a flush writes; the mark is left out (as in RFC 7692).
"""

import zlib
from collections.abc import Iterable

from .results import Unreadable

WINDOW_BYTES = 16_384
_WINDOW_BITS = 14  # 2 ** 14 bytes; a reader allows the format's largest
_MEMORY_LEVEL = 6  # A turn is a few kB: of its packing, a fifth would be making the larger tables of zlib's default.
_MARK = b"\x00\x00\xff\xff"
_LARGE_BYTES = 1 << 20  # from here on speed matters more than the last few percent


def pack(data: bytes, before: bytes) -> bytes:
    """The piece of ``data`` after ``before``, of whose text the end is enough."""
    window = before[-min(WINDOW_BYTES, 16 * len(data)) :]
    level = 1 if len(data) > _LARGE_BYTES else 6
    options = (level, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY)
    compressor = zlib.compressobj(*options, window) if window else zlib.compressobj(*options)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_MARK)


def unpack(pieces: Iterable[bytes], size_bytes: int, crc: int, crc_before: int = 0) -> bytes:
    """The text of all pieces, which has so many bytes and this CRC-32. Raises Unreadable; never unpacks more.

    ``crc_before``: of the text before them, of pieces that can be unpacked without it.
    """
    try:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(_MARK.join([*pieces, b""]), size_bytes + 1)
    except zlib.error as error:
        raise Unreadable("Stored turns are damaged.") from error
    if len(data) != size_bytes or zlib.crc32(data, crc_before) != crc:
        raise Unreadable("Stored turns are not those that the last one's header counts.")
    return data
