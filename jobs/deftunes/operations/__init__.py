"""What people do with a running platform beside the stages: one module a verb."""
