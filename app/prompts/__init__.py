"""How a prompt comes to be: its template languages, its stored definitions, its results."""
