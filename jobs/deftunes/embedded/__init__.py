"""The parts a laptop lacks (PostgreSQL, local AWS, simulated sources), as child processes with kept state."""
