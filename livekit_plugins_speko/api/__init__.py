"""The service: a client of its HTTP routes. Knows no livekit."""
