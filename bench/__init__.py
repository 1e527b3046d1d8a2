"""Measurements of the fork: each writes data and a table to `bench/results/`."""
