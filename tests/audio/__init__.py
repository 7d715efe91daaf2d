"""Tests of the audio helpers."""
