"""What the answer of a model becomes: the result handlers that come with the platform."""
