"""Where a prompt's values come from beside its own context: fetchers, files, the web."""
