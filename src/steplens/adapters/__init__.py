"""Floor 3: steplens where people work, one file for each host, which is imported lazily."""
