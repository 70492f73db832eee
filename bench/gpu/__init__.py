"""Everything that wants a GPU, in one call: `python -m bench.gpu.run`."""
