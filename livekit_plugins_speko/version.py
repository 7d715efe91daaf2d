"""The version of this package, read by the build and by the user agent."""

from __future__ import annotations

__version__ = "0.1.0"
"""The package's version, as PEP 440 has it."""
