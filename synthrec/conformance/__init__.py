"""Does the installed code do what the ledger says? Replay, sensitivity, noise, sampling, canaries, accounting."""
