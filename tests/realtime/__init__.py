"""Tests of speech to speech."""
