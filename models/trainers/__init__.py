"""Trainers: TRL's, with what they need around them to train an agent."""
