"""Stage publish: main moves to a batch that was audited."""
