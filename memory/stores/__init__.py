"""Where samples are kept: in this process, or in Redis."""
