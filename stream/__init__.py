"""Records in, records out: broker, codec, topics, sources, the simulator, drift and the local stack."""
