"""Training: the night's candidates, each from the same start, and the choice among them."""
