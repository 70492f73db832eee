"""The release decision: gates between a challenger and the users, the report, and the registry."""
