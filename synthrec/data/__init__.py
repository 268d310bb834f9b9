"""What is public about a log (schema, catalogue) and what is private (the log itself): reading,
bounding, writing.
"""
