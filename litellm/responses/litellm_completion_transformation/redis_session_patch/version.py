"""The fork's version, for the proxy's start line, the tool, the image and the changelog."""

FORK_VERSION = "0.2.0"
