"""The laboratory: strategies times streams times seeds, measured the same way, side by side."""
