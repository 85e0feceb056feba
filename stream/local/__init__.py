"""A real Kafka, a real Redis and the services on them as child processes on loopback: nothing to install by hand."""
