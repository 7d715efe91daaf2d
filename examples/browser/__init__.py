"""A page to call the agent from, and the programs behind it."""
