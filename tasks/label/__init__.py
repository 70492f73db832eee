"""From evidence to labels: how likely an episode succeeded, what it cost, and step by step."""
