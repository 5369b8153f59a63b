"""Where training pictures and clips come from."""
