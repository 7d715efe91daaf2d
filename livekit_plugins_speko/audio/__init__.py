"""Audio on numpy and LiveKit's frames. Knows no network."""
