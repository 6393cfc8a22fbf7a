"""The board: what Superset's dashboard shows, as one HTML file that needs nothing else."""
