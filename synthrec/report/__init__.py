"""The report: typed records, pictures drawn from them, one HTML page, and the manifest of what is
shared.
"""
