"""The page that compares what was scored."""
