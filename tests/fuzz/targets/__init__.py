"""A file a room. Each holds TARGETS."""
