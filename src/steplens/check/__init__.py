"""Floor 2: one watched run, from the first line of a program to its saved Report."""
