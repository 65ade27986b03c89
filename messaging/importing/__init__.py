"""Taking in what another system knew: leads, and what was said with them."""
