"""What the product is made of: its pinned dependencies, audited and listed."""
