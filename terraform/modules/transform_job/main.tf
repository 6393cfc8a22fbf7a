data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
  arn       = "arn:${local.partition}"

  release = "s3://${var.artifacts_bucket}/releases/${var.release}/glue"
}

# A retried DAG task starts a second run: the job itself is safe to run twice, and never runs twice at once.
resource "aws_glue_job" "this" {
  for_each = var.jobs

  name                   = each.value.name
  description            = "Stage ${each.key}; a run adds --start and --end"
  role_arn               = aws_iam_role.this[each.key].arn
  glue_version           = var.glue_version
  worker_type            = var.worker_type
  number_of_workers      = var.workers
  timeout                = var.timeout_minutes
  max_retries            = 0
  execution_class        = "STANDARD"
  security_configuration = aws_glue_security_configuration.this.name

  command {
    name            = "glueetl"
    python_version  = "3"
    script_location = "${local.release}/${var.script}"
  }

  execution_property {
    max_concurrent_runs = 1
  }

  default_arguments = merge(
    each.value.arguments,
    { for name in each.value.environment : "--${name}" => var.settings[name] },
    {
      "--datalake-formats"       = "iceberg"
      "--extra-jars"             = join(",", [for jar in var.jars : "${local.release}/jars/${jar}"])
      "--user-jars-first"        = "true" # Glue carries a Deequ of its own
      "--job-bookmark-option"    = "job-bookmark-disable"
      "--custom-logGroup-prefix" = var.log_group_prefix
      "--enable-metrics"         = "true"
      # Wheels of the project and what it needs, pinned and hashed when the release was made: a job asks no package index.
      "--additional-python-modules"       = "${local.release}/${var.wheels}"
      "--python-modules-installer-option" = "--no-index"
    },
  )
}

resource "aws_glue_security_configuration" "this" {
  # checkov:skip=CKV_AWS_99:With an encryption of its own Glue writes to log groups that it names and makes itself; ours are there before it, encrypted, and alarms read them
  name = var.name

  encryption_configuration {
    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }

    cloudwatch_encryption {
      cloudwatch_encryption_mode = "DISABLED"
    }

    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = var.kms_key_arn
    }
  }
}

##### One role per job

resource "aws_iam_role" "this" {
  for_each = var.jobs

  name        = each.value.name
  description = "What ${each.key} may do"
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
  for_each = var.jobs

  name   = "lake"
  role   = aws_iam_role.this[each.key].name
  policy = var.lake_policies[each.key]
}

resource "aws_iam_role_policy" "run" {
  for_each = var.jobs

  name = "run"
  role = aws_iam_role.this[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadReleases"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.arn}:s3:::${var.artifacts_bucket}/releases/*"]
      },
      {
        Sid      = "FindReleases"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = ["${local.arn}:s3:::${var.artifacts_bucket}"]
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.arn}:logs:${local.region}:${local.account}:log-group:${var.log_group_prefix}/*"]
      },
      {
        # CloudWatch knows no resource for metrics; the namespace is the bound.
        Sid       = "WriteMetrics"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringEquals = { "cloudwatch:namespace" = "Glue" } }
      },
    ]
  })
}
