"""From a name to checked weights, and back to a folder."""
