data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
}

# The text that judges each batch before publish, registered to watch main after it. No target table: the first run
# makes the tables, and an evaluation names its own.
resource "aws_glue_data_quality_ruleset" "this" {
  for_each = var.rulesets

  name        = each.value.name
  description = "The rules of ${each.key}, with the thresholds that the jobs use"
  ruleset     = templatefile(each.value.file, var.thresholds)
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-data-quality"
  description = "Reads silver to watch it"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = "glue.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "lake" {
  name   = "lake"
  role   = aws_iam_role.this.name
  policy = var.lake_policy
}

resource "aws_iam_role_policy" "evaluate" {
  name = "evaluate"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadRulesAndPublishResults"
        Effect   = "Allow"
        Action   = ["glue:GetDataQualityRuleset", "glue:GetDataQualityRulesetEvaluationRun", "glue:PublishDataQuality"]
        Resource = [for ruleset in var.rulesets : "arn:${local.partition}:glue:${local.region}:${local.account}:dataQualityRuleset/${ruleset.name}"]
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws-glue/data-quality/*"]
      },
    ]
  })
}
