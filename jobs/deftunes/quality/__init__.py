"""Stage quality: the batch judged as a whole, on its branch."""
