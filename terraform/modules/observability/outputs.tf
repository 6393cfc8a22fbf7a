output "log_groups" {
  description = "Names of the log groups by key."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.name }
}

output "alerts" {
  description = "Every alert that can come; each is a heading in docs/aws.md."
  value = concat(
    keys(local.failures),
    distinct([for alarm in concat(values(aws_cloudwatch_metric_alarm.freshness), values(aws_cloudwatch_metric_alarm.quarantine)) : split("-", trimprefix(alarm.alarm_name, "${var.name}-"))[0]]),
  )
}

output "topic_arn" {
  description = "Where alerts are published."
  value       = local.topic_arn
}
