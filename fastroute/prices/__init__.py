"""What models cost: a dated snapshot, a book to look prices up in, and exact charges."""
