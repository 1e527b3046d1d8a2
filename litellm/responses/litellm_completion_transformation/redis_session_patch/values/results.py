"""What the store answers when it does not give or keep what it was asked to."""

from enum import Enum


class Miss(Enum):
    """Why a response is not served from Redis. Unfinished: one in the background, running or ended without a turn."""

    UNKNOWN = "unknown"
    DELETED = "deleted"
    DENIED = "denied"
    UNFINISHED = "unfinished"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"


class Unreadable(ValueError):
    """What Redis holds was never stored so: damaged, moved, of another format, or sealed with a key that is missing."""


class StoreError(Exception):
    """Something was not stored or read; the message says why, without values or passwords."""


class StoreUnavailable(StoreError):
    """Redis did not do what was asked, or not in time."""


class NotStored(StoreError):
    """A turn is not stored: a limit, its longest life, its form, or what it follows was deleted or erased meanwhile."""


class Locked(StoreError):
    """Another request is under way in the conversation object."""


class Moved(Locked):
    """The conversation object went on since it was read."""


class OddValue(StoreError):
    """A key of ours holds another type of value, or Redis gave an answer that its script does not give."""
