"""The settings that LiteLLM's migration helper reads; nothing is ever installed there."""

import tempfile
from pathlib import Path

nodeenv_cache_dir = Path(tempfile.gettempdir()) / "prisma-standin-has-no-node"
