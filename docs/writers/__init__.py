"""What the generated pages of docs/reference say: one file a page, one function `page(written)`."""
