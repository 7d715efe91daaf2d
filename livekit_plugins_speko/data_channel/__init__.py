"""The data channel of a room, and reports of what was said in it."""
