"""What the platform knows about itself, in the lake and in the warehouse: landings, batches, verdicts, checkpoints."""
