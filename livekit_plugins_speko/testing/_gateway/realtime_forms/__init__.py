"""The wires of speech to speech, seen from the service: the proxy's, xAI's and Gemini's."""

from __future__ import annotations

from .form import RealtimeForm
from .google import GoogleForm
from .proxy import ProxyForm
from .xai import XaiForm

FORMS: dict[str, type[RealtimeForm]] = {
    "proxy": ProxyForm,
    "xai": XaiForm,
    "google": GoogleForm,
}
"""By the form of a session's credentials."""

__all__ = ["FORMS", "RealtimeForm"]
