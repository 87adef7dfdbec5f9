"""Exports: the raw rows of a resource as a file, streamed from the database, as a job.

resources  RESOURCES: what can be exported: columns, query, filters, who may
options    how the file is written: columns, delimiter, decimal sign, time zone …
requests   an export as it was asked for, and the files it has come to
work       the job: parts of rows, one after another, then the bundle and the manifest
WRITERS    a part's rows → a file, by format (csv · xlsx · json · pdf)
"""
