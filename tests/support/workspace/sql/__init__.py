"""From the text of a statement to its result: parameters, names, rights, and the engine that does the work."""
