"""The schema of a configuration, and the objects that a configuration describes."""
