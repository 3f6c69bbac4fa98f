"""Files of a job: what was sent, and the text that a prompt may read.

sent.py        a file as it came, and what it may be called   kinds.py      text, PDF, or neither
reading.py     files to texts, with every limit               extraction.py PDFs, read elsewhere
extractor.py   the program that reads them: alone, with nothing in reach

Nothing here is stored; how a request carries files is the API's business.
"""

from app.context.files.extractor import MAX_PAGES, MAX_TEXT_BYTES
from app.context.files.reading import MAX_FILES, MAX_TEXT_BYTES_IN_ALL, ReadFile, read_files
from app.context.files.sent import MAX_FILE_BYTES, SentFile

__all__ = [
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_PAGES",
    "MAX_TEXT_BYTES",
    "MAX_TEXT_BYTES_IN_ALL",
    "ReadFile",
    "SentFile",
    "read_files",
]
