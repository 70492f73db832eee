"""Stages that a candidate is trained in, each from one policy to a better one."""
