"""How time, bytes and memory grow; not tests, since they assert nothing: `make bench`."""
