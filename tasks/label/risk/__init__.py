"""The risk term: rules that say how far an episode did what an agent had better not do."""
