"""From log files in any known format to episodes, signals and quarantine, exactly once."""
