"""Stage quality: the batch on its branch, audited as a whole."""
