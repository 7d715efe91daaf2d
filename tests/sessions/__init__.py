"""Whole agent sessions."""
