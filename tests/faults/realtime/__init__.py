"""The matrix of faults: speech to speech, at the level of a whole `AgentSession`."""
