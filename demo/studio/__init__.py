"""The parts of the page: clips in, marks, the following itself, files out, and how it all looks. Knows vos_zoo's public face only."""
