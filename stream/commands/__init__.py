"""The commands of the CLI: one file each, one function each."""
