"""Tests of what must not leak, grow or be reached."""
