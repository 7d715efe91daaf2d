"""The settings of the page's tests: a LiveKit server that no test contacts."""

from __future__ import annotations

from examples.browser.calls import Settings

SECRET = "a secret that is long enough for HMAC with SHA-256"
SETTINGS = Settings("ws://127.0.0.1:7880", "a-key", SECRET)
ENVIRONMENT = {
    "LIVEKIT_URL": SETTINGS.url,
    "LIVEKIT_API_KEY": SETTINGS.api_key,
    "LIVEKIT_API_SECRET": SECRET,
}
