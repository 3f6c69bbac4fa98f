"""The statistics room: what happened, counted once into hourly rows, and read back from them."""
