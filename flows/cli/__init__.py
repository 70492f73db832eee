"""The `flywheel` command: verbs in the order of the loop, rich for people, JSON for scripts."""
