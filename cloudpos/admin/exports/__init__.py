"""Pages for taking data out: what is wanted, how far the files are, and fetching them."""
