"""The service: a client of its HTTP API. Knows no livekit."""
