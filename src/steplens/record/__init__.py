"""Floor 1: listens to torch."""
