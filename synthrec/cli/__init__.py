"""The command line: one command per file; parse, call the pipeline, write."""
