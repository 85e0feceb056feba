"""The same frames and the same model against MLServer and Ray Serve; ``make bench-peers``."""
