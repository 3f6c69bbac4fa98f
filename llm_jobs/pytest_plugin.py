"""The pytest plugin: loaded in every pytest run of an environment, so it imports almost nothing.

The machinery of its fixtures is `app.testing`, imported when a test first asks for one.
"""
