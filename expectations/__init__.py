"""The gate: what the dimensions as a whole must promise before they are published."""
