"""Policies and what trains, plays, tracks and registers them; the only place for torch and MLflow."""
