mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "deftunes"
  log_groups  = { publish = "/deftunes/publish", transform = "/deftunes/transform", glue_output = "/deftunes/glue/output" }
  cluster     = "deftunes"
  glue_jobs   = ["deftunes-transform-songs"]
  emails      = ["oncall@example.com"]
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  kms_alias   = "alias/deftunes"
}

run "logs_end_and_failure_delay_and_rejection_are_told" {
  command = plan

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.retention_in_days == 90 && group.kms_key_id == var.kms_key_arn])
    error_message = "Each log group needs an end and the platform's key."
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == "alias/deftunes" && jsondecode(aws_sns_topic_policy.this.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "The topic must be encrypted and take alarms of this account only."
  }

  assert {
    condition     = length([for s in jsondecode(aws_sns_topic_policy.this.policy).Statement : s if s.Principal.Service == "events.amazonaws.com" && !contains(keys(s), "Condition")]) == 1
    error_message = "EventBridge must be allowed without a condition: it fills none in, and its events would be dropped in silence."
  }

  assert {
    condition     = toset(output.alerts) == toset(["failed-task", "failed-job", "freshness", "quarantine"])
    error_message = "Four alerts: failed-task, failed-job, freshness, quarantine."
  }

  assert {
    condition     = toset(jsondecode(aws_cloudwatch_event_rule.this["failed-job"].event_pattern).detail.state) == toset(["FAILED", "TIMEOUT"]) && jsondecode(aws_cloudwatch_event_rule.this["failed-job"].event_pattern).detail.jobName == ["deftunes-transform-songs"]
    error_message = "Every Glue job that fails or runs out of time must be told of."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.freshness : alarm.treat_missing_data == "breaching" && alarm.comparison_operator == "LessThanThreshold"])
    error_message = "Silence must be an alarm, too."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.freshness) == 3 && length(aws_cloudwatch_metric_alarm.quarantine) == 3 && alltrue([for alarm in aws_cloudwatch_metric_alarm.quarantine : alarm.threshold == 0.02])
    error_message = "Each entity is watched for freshness and for rejected records."
  }

  assert {
    condition = alltrue([for what in ["received-users", "rejected-users"] : toset([
      for filter in aws_cloudwatch_log_metric_filter.this : filter.log_group_name if filter.metric_transformation[0].name == what
    ]) == toset(["/deftunes/transform", "/deftunes/glue/output"])])
    error_message = "Rejected records must be counted wherever transform runs."
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.freshness), values(aws_cloudwatch_metric_alarm.quarantine)) : toset(alarm.alarm_actions) == toset(["arn:aws:sns:eu-central-1:123456789012:deftunes-alerts"])])
    error_message = "An alarm nobody hears is none."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    log_groups       = { publish = "/deftunes/publish", glue_output = "/deftunes/glue/output" }
    emails           = ["nobody"]
    retention_days   = 8
    freshness_days   = 30
    quarantine_share = 5
  }

  expect_failures = [var.log_groups, var.emails, var.retention_days, var.freshness_days, var.quarantine_share]
}
