"""Floor 0: plain data, no torch."""
