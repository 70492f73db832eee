"""Policies and what trains, plays, tracks and registers them: the place of torch and MLflow."""
