"""The learner's strategies against published figures and against avalanche-lib: tables as data."""
