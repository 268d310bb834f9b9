"""In which known ways would the installed code not do what the ledger says? Replay, sensitivity,
noise, sampling, canaries, accounting.
"""
