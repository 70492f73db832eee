"""The replay environment: scenarios of the logs, played from what was logged of them."""
