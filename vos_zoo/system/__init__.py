"""Files, locks, processes, devices: what the operating system gives."""
