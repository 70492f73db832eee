"""Records, table schemas, configuration and errors: what the stages say to each other. No I/O."""
