"""How the service behaves under more load than it can bear, and under more swaps than anybody would make."""
