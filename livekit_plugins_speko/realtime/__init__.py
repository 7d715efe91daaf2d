"""Speech to speech: a whole voice model as LiveKit's realtime model."""
