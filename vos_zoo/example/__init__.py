"""A clip that the library draws itself, with exact masks."""
