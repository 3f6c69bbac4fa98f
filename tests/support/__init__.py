"""What tests share: waiting, processes, and the real servers they start and stop themselves."""
