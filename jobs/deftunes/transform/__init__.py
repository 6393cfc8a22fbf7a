"""Stage transform: landings in use, typed and validated row by row, on the batch's branch of silver."""
