"""Held-out play: what a policy achieves on the frozen scenarios, and how sure one can be of it."""
