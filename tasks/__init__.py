"""The stages of the loop: pure functions, each with a thin Prefect shell in its `task.py`."""
