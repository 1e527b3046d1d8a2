"""The demo, the server to try things on, and the check: `make demo`, `make serve`, `make ask`."""
