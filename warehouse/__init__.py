"""Tables that last: Delta Lake commits and time travel, read-only SQL over them, and lineage.

The only package that imports `deltalake` or `duckdb`.
"""
