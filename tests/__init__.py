"""The test suite. Shared parts live in `tests/support`, shared fixtures in `tests/conftest.py`."""
