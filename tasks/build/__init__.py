"""From labels to training sets: split, trajectories, pairs, leak check, one pinned version."""
