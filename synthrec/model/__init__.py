"""From a bounded log and a plan to a generator, and from a generator to synthetic users."""
