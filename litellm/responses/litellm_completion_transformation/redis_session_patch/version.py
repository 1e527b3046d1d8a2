"""The fork's version, the one place: the proxy's start line, the tool, the image and the changelog take it from here."""

FORK_VERSION = "0.2.0"
