"""Tests of what the package offers for tests."""
