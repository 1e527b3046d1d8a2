"""Tests of the database laboratory."""
