"""Only the names LiteLLM looks up: there is no query engine behind this stand-in."""

from . import errors

__all__ = ["errors"]
