"""What a release holds, proved by allow-list: for its owner before it leaves, and for whoever
receives it, without the log.
"""
