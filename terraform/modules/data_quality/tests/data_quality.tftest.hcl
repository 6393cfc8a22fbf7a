mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "deftunes"
  thresholds  = { max_price = "2.50" }
  lake_policy = "{}"
  rulesets = {
    songs    = { name = "deftunes-songs", file = "../../../jobs/deftunes/quality/rulesets/songs.dqdl" }
    users    = { name = "deftunes-users", file = "../../../jobs/deftunes/quality/rulesets/users.dqdl" }
    sessions = { name = "deftunes-sessions", file = "../../../jobs/deftunes/quality/rulesets/sessions.dqdl" }
  }
}

run "the_registered_rules_are_the_jobs_rules" {
  command = plan

  assert {
    condition     = strcontains(aws_glue_data_quality_ruleset.this["sessions"].ruleset, "ColumnValues \"price\" <= 2.50")
    error_message = "The threshold must be filled in."
  }

  assert {
    condition     = aws_glue_data_quality_ruleset.this["users"].ruleset == file(var.rulesets.users.file)
    error_message = "A ruleset without thresholds must be registered as it is."
  }

  assert {
    condition     = alltrue([for ruleset in aws_glue_data_quality_ruleset.this : length(ruleset.target_table) == 0])
    error_message = "A ruleset must not wait for a table: the first run makes it."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    thresholds = { max_price = "two" }
    rulesets   = { songs = { name = "songs", file = "songs.txt" } }
  }

  expect_failures = [var.thresholds, var.rulesets]
}
