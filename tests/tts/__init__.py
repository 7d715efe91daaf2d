"""Tests of text-to-speech."""
