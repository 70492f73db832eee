"""The loop put together: the nightly flow, the demo, and the `flywheel` command."""
