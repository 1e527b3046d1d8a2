"""A compaction: what stands for the turns before it, sealed, as its client carries it (``encrypted_content``).

It holds all that it stands for, so that a client that keeps its conversation itself (``store: false``, as Codex) needs
nothing of Redis, for as long as it likes.
"""

import base64
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .cipher import Cipher
from .owner import Owner
from .results import NotStored, Unreadable
from .turns import Turn, decode_turns, encode_turn

KIND, TRIGGER = "compaction", "compaction_trigger"
_PREFIX = "litellm_compaction_1."
_POSITION = b"compaction"


class Seal:
    """Makes and opens compactions. ``secret``: of the installation, for where the operator gives no keys.

    ``is_open``: nobody has a secret, as nobody has to say who they are. ``most_bytes``: of the text of a compaction.
    """

    def __init__(self, keys: Sequence[bytes], secret: str | None, *, is_open: bool, most_bytes: int):
        derived = [hashlib.sha256(f"redis session patch {secret}".encode()).digest()] if secret else []
        self._cipher = Cipher([*keys, *derived], required=bool(keys or derived))
        self._is_usable, self._most_bytes = bool(keys or derived or is_open), most_bytes

    def close(self, turns: Sequence[Turn], owner: Owner) -> str:
        """``turns``: what is to be sent in place of what they stand for. Raises NotStored, TypeError or ValueError."""
        if not self._is_usable:
            raise NotStored("A compaction needs a secret: set REDIS_SESSION_PATCH_ENCRYPTION_KEY or LITELLM_SALT_KEY.")
        deflater, size, before = zlib.compressobj(), 0, None
        packed = []
        for turn in turns:
            # What a provider holds is more than the turn.
            text, before = encode_turn(replace(turn, held_id=None), before), turn
            size += len(text)
            if size > self._most_bytes:
                raise NotStored(f"A compaction has {size} bytes or more, over {self._most_bytes}.")
            packed.append(deflater.compress(text))
        sealed = self._cipher.seal(b"".join((*packed, deflater.flush())), _context(owner), _POSITION)
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    def open(self, text: str, owner: Owner) -> tuple[Turn, ...]:
        """Raises Unreadable for what was made for another owner, or by another installation."""
        try:
            sealed = base64.b64decode(text.removeprefix(_PREFIX), "-_", validate=True)
            inflater = zlib.decompressobj()
            opened = self._cipher.open(sealed, _context(owner), _POSITION) if self._is_usable else b""
            data = inflater.decompress(opened, self._most_bytes)
            if not inflater.eof:
                raise ValueError("It is larger than any that is made here.")
            return decode_turns(data)
        except (ValueError, RecursionError, zlib.error) as error:
            raise Unreadable("A compaction cannot be read.") from error


def _context(owner: Owner) -> bytes:
    return f"compaction {owner.identity}".encode()


def sealed_text(item: Any) -> str | None:
    """Of a compaction of ours; ``None``: the item is none."""
    text = item.get("encrypted_content") if isinstance(item, dict) and item.get("type") == KIND else None
    return text if isinstance(text, str) and text.startswith(_PREFIX) else None


def newest(items: Any) -> int | None:
    """Where the newest compaction of ours stands in a request's input."""
    if not isinstance(items, list):
        return None
    return next((n for n in reversed(range(len(items))) if sealed_text(items[n]) is not None), None)


def is_asked_for(client_input: Any) -> bool:
    """Whether the input ends with a wish for a compaction, as Codex has it."""
    last = client_input[-1] if isinstance(client_input, list) and client_input else None
    return isinstance(last, dict) and last.get("type") == TRIGGER
