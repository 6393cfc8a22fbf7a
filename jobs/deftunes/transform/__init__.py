"""Stage transform: landings in use, typed and judged row by row, on the batch's branch of silver."""
