data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
  arn       = "arn:${local.partition}"
  here      = "${local.region}:${local.account}"

  bucket_arn   = "${local.arn}:s3:::${var.artifacts_bucket}"
  requirements = "requirements-mwaa.txt"
  dag_files    = fileset(var.dags_folder, "{*.py,${local.requirements}}")
}

# DAGs are read from here within a minute; what they say is the release's, like the images they start.
resource "aws_s3_object" "dag" {
  for_each = local.dag_files

  bucket      = var.artifacts_bucket
  key         = "airflow/dags/${each.value}"
  source      = "${var.dags_folder}/${each.value}"
  source_hash = filemd5("${var.dags_folder}/${each.value}")
  kms_key_id  = var.kms_key_arn
}

resource "aws_s3_object" "platform" {
  bucket      = var.artifacts_bucket
  key         = "airflow/dags/platform.json"
  source      = var.platform_file
  source_hash = filemd5(var.platform_file)
  kms_key_id  = var.kms_key_arn
}

resource "aws_mwaa_environment" "this" {
  name                  = var.name
  airflow_version       = "3.0.6"
  environment_class     = var.environment_class
  min_workers           = 1
  max_workers           = var.max_workers
  execution_role_arn    = aws_iam_role.this.arn
  kms_key               = var.kms_key_arn
  source_bucket_arn     = local.bucket_arn
  dag_s3_path           = "airflow/dags"
  requirements_s3_path  = contains(local.dag_files, local.requirements) ? "airflow/dags/${local.requirements}" : null
  webserver_access_mode = var.webserver_access_mode

  # What the DAGs read: section [deftunes] of Airflow's configuration, here and in compose alike.
  airflow_configuration_options = merge(
    {
      "core.default_timezone"            = "utc"
      "core.dags_are_paused_at_creation" = "True" # a person unpauses, and with that begins the backfill
    },
    { for name, value in var.dag_settings : "deftunes.${name}" => value if value != null },
  )

  network_configuration {
    subnet_ids         = slice(var.subnet_ids, 0, 2) # MWAA takes two, no more
    security_group_ids = [aws_security_group.this.id]
  }

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = "INFO"
    }

    scheduler_logs {
      enabled   = true
      log_level = "INFO"
    }

    task_logs {
      enabled   = true
      log_level = "INFO"
    }

    webserver_logs {
      enabled   = true
      log_level = "INFO"
    }

    worker_logs {
      enabled   = true
      log_level = "INFO"
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_s3_object.dag]
}

resource "aws_security_group" "this" {
  name        = "${var.name}-airflow"
  description = "Airflow's own parts, among themselves"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-airflow" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = { https = 443, metadata = 5432 }

  security_group_id            = aws_security_group.this.id
  description                  = "Airflow to itself, ${each.key}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "metadata" {
  security_group_id            = aws_security_group.this.id
  description                  = "Airflow's metadata"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

##### What Airflow may do: start the jobs by name, watch them, read their logs. It reads no data.

resource "aws_iam_role" "this" {
  name        = "${var.name}-airflow"
  description = "Starts and watches the jobs"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"] }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = { run-jobs = local.run_jobs, run-airflow = local.run_airflow }

  name = each.key
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in each.value : merge({ Effect = "Allow" }, statement) if length(statement.Resource) > 0]
  })
}

locals {
  families = values(var.jobs.families)

  run_jobs = [
    {
      Sid       = "StartTasks"
      Action    = ["ecs:RunTask"]
      Resource  = [for family in local.families : "${local.arn}:ecs:${local.here}:task-definition/${family}:*"]
      Condition = { ArnEquals = { "ecs:cluster" = "${local.arn}:ecs:${local.here}:cluster/${var.jobs.cluster}" } }
    },
    {
      Sid      = "WatchTasks"
      Action   = ["ecs:DescribeTasks", "ecs:StopTask"]
      Resource = ["${local.arn}:ecs:${local.here}:task/${var.jobs.cluster}/*"]
    },
    {
      Sid       = "HandTasksTheirRoles"
      Action    = ["iam:PassRole"]
      Resource  = [for role in var.jobs.task_roles : "${local.arn}:iam::${local.account}:role/${role}"]
      Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
    },
    {
      Sid      = "RunGlueJobs"
      Action   = ["glue:GetJob", "glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]
      Resource = [for job in var.jobs.glue_jobs : "${local.arn}:glue:${local.here}:job/${job}"]
    },
    {
      Sid      = "WatchQuality"
      Action   = ["glue:GetDataQualityRuleset", "glue:StartDataQualityRulesetEvaluationRun", "glue:GetDataQualityRulesetEvaluationRun", "glue:GetDataQualityResult"]
      Resource = [for ruleset in var.jobs.rulesets : "${local.arn}:glue:${local.here}:dataQualityRuleset/${ruleset}"]
    },
    {
      Sid       = "HandQualityItsRole"
      Action    = ["iam:PassRole"]
      Resource  = ["${local.arn}:iam::${local.account}:role/${var.jobs.quality_role}"]
      Condition = { StringEquals = { "iam:PassedToService" = "glue.amazonaws.com" } }
    },
    {
      Sid      = "SubmitBackfills"
      Action   = ["batch:SubmitJob"]
      Resource = var.jobs.batch_queue == null ? [] : concat(["${local.arn}:batch:${local.here}:job-queue/${var.jobs.batch_queue}"], [for family in local.families : "${local.arn}:batch:${local.here}:job-definition/${family}*"])
    },
    {
      Sid      = "StopBackfills"
      Action   = ["batch:TerminateJob"]
      Resource = var.jobs.batch_queue == null ? [] : ["${local.arn}:batch:${local.here}:job/*"]
    },
    {
      # Batch knows no resource for looking.
      Sid      = "WatchBackfills"
      Action   = ["batch:DescribeJobs"]
      Resource = [for any in ["*"] : any if var.jobs.batch_queue != null]
    },
    {
      Sid      = "ReadTheirLogs"
      Action   = ["logs:GetLogEvents", "logs:FilterLogEvents"]
      Resource = [for group in var.jobs.log_groups : "${local.arn}:logs:${local.here}:log-group:${group}:*"]
    },
  ]

  run_airflow = [
    {
      Sid      = "ReadDags"
      Action   = ["s3:GetObject", "s3:GetObjectVersion"]
      Resource = ["${local.bucket_arn}/airflow/*"]
    },
    {
      Sid      = "FindDags"
      Action   = ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration"]
      Resource = [local.bucket_arn]
    },
    {
      # MWAA looks whether the account blocks public access; there is no narrower resource.
      Sid      = "SeeAccountBlock"
      Action   = ["s3:GetAccountPublicAccessBlock"]
      Resource = ["*"]
    },
    {
      Sid      = "TellHealth"
      Action   = ["airflow:PublishMetrics"]
      Resource = ["${local.arn}:airflow:${local.here}:environment/${var.name}"]
    },
    {
      Sid      = "WriteItsLogs"
      Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents", "logs:GetLogRecord", "logs:GetLogGroupFields", "logs:GetQueryResults"]
      Resource = ["${local.arn}:logs:${local.here}:log-group:airflow-${var.name}-*"]
    },
    {
      # CloudWatch knows no resource for either.
      Sid      = "FindItsLogs"
      Action   = ["logs:DescribeLogGroups"]
      Resource = ["*"]
    },
    {
      Sid       = "WriteMetrics"
      Action    = ["cloudwatch:PutMetricData"]
      Resource  = ["*"]
      Condition = { StringLike = { "cloudwatch:namespace" = ["AmazonMWAA", "AWS/MWAA"] } }
    },
    {
      # The queue between scheduler and workers is in an account of AWS's.
      Sid      = "UseItsQueue"
      Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage"]
      Resource = ["${local.arn}:sqs:${local.region}:*:airflow-celery-*"]
    },
    {
      Sid      = "UseKey"
      Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
      Resource = ["${local.arn}:kms:${local.here}:key/*"]
      Condition = {
        "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = var.kms_alias }
        StringEquals               = { "kms:ViaService" = ["s3.${local.region}.amazonaws.com", "sqs.${local.region}.amazonaws.com"] }
      }
    },
  ]
}
