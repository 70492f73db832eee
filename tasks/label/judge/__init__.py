"""A judge: episodes of one scenario held against each other, where nothing better has decided."""
