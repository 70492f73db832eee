"""Preference pairs of a night: four kinds, each with guards that are counted one by one."""
