"""What everything else is built of: entities, intervals, names, errors, settings. Imports nothing of ours."""
