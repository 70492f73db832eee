"""Detectors: what the messages of episodes, and the order of a session's, say about success."""
