"""What the unit tests share: stores and turns, clients that watch, and small stand-ins for LiteLLM's objects."""
