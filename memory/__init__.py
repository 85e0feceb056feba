"""State that outlives a process: the episodic memory and the model registry. No torch."""
