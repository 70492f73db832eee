"""The rows of a build in the formats of other trainers, each with a reader that gives them back."""
