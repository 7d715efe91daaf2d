"""Tests of the package, the README and the scripts."""
