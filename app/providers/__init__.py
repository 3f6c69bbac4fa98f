"""The models of this world behind one seam: `contract` says what an adapter takes and gives.

`registry` routes a model's name to an adapter without importing any SDK; the adapters translate.
Policy (retries, limits, deadlines, what is stored) is not here.
"""
