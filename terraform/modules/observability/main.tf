data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  here      = "${data.aws_region.current.region}:${local.account}"
  arn       = "arn:${data.aws_partition.current.partition}"
  topic_arn = "${local.arn}:sns:${local.here}:${var.name}-alerts"
  runbook   = "What to do: docs/aws.md, the heading of this name"
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:How long is a setting; what must outlive a year is in the lake's log of runs
  for_each = var.log_groups

  name              = each.value
  retention_in_days = var.retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_alias
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["sns:Publish"]
        Resource  = [local.topic_arn]
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        # Without a condition, on purpose: EventBridge fills none in, so with one every event would be dropped in silence.
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["sns:Publish"]
        Resource  = [local.topic_arn]
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.emails

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

##### Failed runs

locals {
  failures = {
    failed-task = {
      description = "A container stage ended with an error that another try does not mend, or did not start"
      pattern = {
        source        = ["aws.ecs"]
        "detail-type" = ["ECS Task State Change"]
        detail = {
          clusterArn = ["${local.arn}:ecs:${local.here}:cluster/${var.cluster}"]
          lastStatus = ["STOPPED"]
          # 75 says "try again later", and Airflow does; if it never gets better, freshness tells.
          "$or" = [{ containers = { exitCode = [{ "anything-but" = [0, 75] }] } }, { stopCode = ["TaskFailedToStart"] }]
        }
      }
      paths    = { what = "$.detail.group", why = "$.detail.stoppedReason" }
      template = "\"failed-task: <what> ended: <why>. ${local.runbook}\""
    }
    failed-job = {
      description = "A Glue job failed or ran into its timeout"
      pattern = {
        source        = ["aws.glue"]
        "detail-type" = ["Glue Job State Change"]
        detail        = { jobName = var.glue_jobs, state = ["FAILED", "TIMEOUT"] }
      }
      paths    = { what = "$.detail.jobName", why = "$.detail.message" }
      template = "\"failed-job: <what> ended: <why>. ${local.runbook}\""
    }
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.failures

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local.failures

  rule = aws_cloudwatch_event_rule.this[each.key].name
  arn  = local.topic_arn

  input_transformer {
    input_paths    = each.value.paths
    input_template = each.value.template
  }

  depends_on = [aws_sns_topic_policy.this]
}

##### What the stages say of themselves: one JSON object a line, as the CLI prints it

locals {
  # Where transform may run: in a container, or as a Glue job.
  transform_groups = { "" = "transform", "-glue" = "glue_output" }

  counts = merge(
    { for entity in var.entities : "published-${entity}" => { group = "publish", metric = "published-${entity}", pattern = "{ $.stage = \"publish\" && $.entity = \"${entity}\" }", value = "1" } },
    [
      for where, group in local.transform_groups : merge([
        for entity in var.entities : {
          for what in ["received", "rejected"] : "${what}-${entity}${where}" => {
            group   = group
            metric  = "${what}-${entity}"
            pattern = "{ $.stage = \"transform\" && $.entity = \"${entity}\" && $.${what} >= 0 }"
            value   = "$.${what}"
          }
        }
      ]...)
    ]...
  )
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.counts

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this[each.value.group].name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = var.name
    name      = each.value.metric
    value     = each.value.value
  }
}

# No publish at all, for whatever reason: the one alarm that also hears silence.
resource "aws_cloudwatch_metric_alarm" "freshness" {
  for_each = toset(var.entities)

  alarm_name          = "${var.name}-freshness-${each.key}"
  alarm_description   = "No run has brought ${each.key} up to date for ${var.freshness_days} days. ${local.runbook}"
  namespace           = var.name
  metric_name         = "published-${each.key}"
  statistic           = "Sum"
  period              = 86400
  evaluation_periods  = var.freshness_days
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [local.topic_arn]
  ok_actions          = [local.topic_arn]
}

# Earlier than the gate, which stops a batch at DEFTUNES_MAX_REJECTED: somebody can ask the source before that.
resource "aws_cloudwatch_metric_alarm" "quarantine" {
  for_each = toset(var.entities)

  alarm_name          = "${var.name}-quarantine-${each.key}"
  alarm_description   = "More than ${var.quarantine_share * 100} % of the ${each.key} of a day were rejected. ${local.runbook}"
  evaluation_periods  = 1
  threshold           = var.quarantine_share
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]

  metric_query {
    id          = "share"
    label       = "Share rejected"
    expression  = "IF(received > 0, rejected / received, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = ["received", "rejected"]

    content {
      id = metric_query.value

      metric {
        namespace   = var.name
        metric_name = "${metric_query.value}-${each.key}"
        period      = 86400
        stat        = "Sum"
      }
    }
  }
}
