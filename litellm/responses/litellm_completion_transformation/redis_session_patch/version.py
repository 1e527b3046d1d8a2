"""The fork's version, for the proxy's start line, the tool, the image and the changelog; and LiteLLM's."""

from importlib.metadata import PackageNotFoundError, version

FORK_VERSION = "0.2.0"


def litellm_release() -> str:
    try:
        return version("litellm")
    except PackageNotFoundError:  # a checkout
        return "unknown"
