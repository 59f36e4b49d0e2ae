"""Forgetting a session: what goes with it, and how a command has the agent at work do it."""
