"""Stage extract: what a source holds, landed as it was sent."""
