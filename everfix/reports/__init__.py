"""Reports: a template and a period become a Document, a run keeps it for ever, files are rendered from it."""
