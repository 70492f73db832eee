"""Benchmarks of the stages: `python -m bench.ingest --size 200MB --json` and its siblings."""
