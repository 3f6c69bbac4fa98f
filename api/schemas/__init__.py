"""What goes in and out over HTTP, as pydantic models: the one source of checks and of the document.

Requests are strict: no unknown field, no coercion. Rules that need the database are `app`'s.
"""
