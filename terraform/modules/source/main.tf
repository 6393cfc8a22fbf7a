data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
  arn       = "arn:${local.partition}"

  # Values come from a person, never through Terraform: `aws secretsmanager put-secret-value` (docs/aws.md).
  kept = merge({ songs_dsn = var.secrets.songs_dsn }, var.api_has_token ? { api_token = var.secrets.api_token } : {})
  found = {
    for id, secret in local.kept : id => {
      value_from = "${local.arn}:secretsmanager:${local.region}:${local.account}:secret:${secret.name}"
      arn        = "${local.arn}:secretsmanager:${local.region}:${local.account}:secret:${secret.name}-??????"
    }
  }
  # The trial database's password is AWS's, made and rotated by it: ECS reads the current one at each start.
  password = var.trial == null ? {} : {
    songs_password = {
      value_from = "${aws_db_instance.trial[0].master_user_secret[0].secret_arn}:password::"
      arn        = aws_db_instance.trial[0].master_user_secret[0].secret_arn
    }
  }
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:These belong to other systems; who rotates them there puts the new value here
  for_each = local.kept

  name                    = each.value.name
  description             = "Becomes ${each.value.variable} of the stages that need it"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

##### A trial run's catalogue: a small PostgreSQL, and a task that fills it once

resource "aws_db_instance" "trial" {
  # checkov:skip=CKV_AWS_157:A trial's catalogue is made up by the task below; when it is lost it is made again
  # checkov:skip=CKV_AWS_293:The same: terraform destroy is to leave nothing of a trial
  # checkov:skip=CKV_AWS_118:A database that is read once a day needs no monitoring of its own
  # checkov:skip=CKV_AWS_161:Extract reads by a libpq string, as it does on everybody's own PostgreSQL
  # checkov:skip=CKV2_AWS_30:Its statements are the extract's, which is logged
  count = var.trial == null ? 0 : 1

  identifier                          = "${var.name}-catalogue"
  engine                              = "postgres"
  engine_version                      = "17"
  instance_class                      = var.trial.instance_class
  allocated_storage                   = 20
  storage_type                        = "gp3"
  storage_encrypted                   = true
  kms_key_id                          = var.kms_key_arn
  db_name                             = "deftunes"
  username                            = "deftunes"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  db_subnet_group_name                = aws_db_subnet_group.trial[0].name
  vpc_security_group_ids              = [aws_security_group.trial[0].id]
  publicly_accessible                 = false
  iam_database_authentication_enabled = false
  auto_minor_version_upgrade          = true
  backup_retention_period             = 1
  copy_tags_to_snapshot               = true
  skip_final_snapshot                 = true
  performance_insights_enabled        = true
  performance_insights_kms_key_id     = var.kms_key_arn
  enabled_cloudwatch_logs_exports     = ["postgresql", "upgrade"]
}

resource "aws_db_subnet_group" "trial" {
  count = var.trial == null ? 0 : 1

  name       = "${var.name}-catalogue"
  subnet_ids = var.trial.subnet_ids
}

resource "aws_security_group" "trial" {
  # checkov:skip=CKV2_AWS_5:Attached to the database of this module
  count = var.trial == null ? 0 : 1

  name        = "${var.name}-catalogue"
  description = "The trial's catalogue"
  vpc_id      = var.trial.vpc_id

  tags = { Name = "${var.name}-catalogue" }
}

resource "aws_vpc_security_group_ingress_rule" "trial" {
  count = var.trial == null ? 0 : 1

  security_group_id            = aws_security_group.trial[0].id
  description                  = "PostgreSQL from tasks"
  referenced_security_group_id = var.trial.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# An address without a password, so nothing secret; kept where the stages look for the real one.
resource "aws_secretsmanager_secret_version" "trial" {
  count = var.trial == null ? 0 : 1

  secret_id                = aws_secretsmanager_secret.this["songs_dsn"].id
  secret_string_wo         = "host=${aws_db_instance.trial[0].address} port=5432 dbname=deftunes user=deftunes sslmode=require"
  secret_string_wo_version = 1
}

resource "aws_ecs_task_definition" "seed" {
  count = var.trial == null ? 0 : 1

  family                   = "${var.name}-seed"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.seed[0].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name                   = var.trial.container
    image                  = var.trial.image
    essential              = true
    entryPoint             = ["python", "-m", "song_catalog"]
    command                = ["load", "--dsn-env", "DEFTUNES_SONGS_DSN", "--if-missing"]
    readonlyRootFilesystem = true
    secrets = [
      { name = var.secrets.songs_dsn.variable, valueFrom = local.found.songs_dsn.value_from },
      { name = var.secrets.songs_password.variable, valueFrom = local.password.songs_password.value_from },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options   = { awslogs-group = var.trial.log_group, awslogs-region = local.region, awslogs-stream-prefix = "seed" }
    }
  }])
}

resource "aws_iam_role" "seed" {
  count = var.trial == null ? 0 : 1

  name        = "${var.name}-seed-start"
  description = "Pulls the image that fills the trial's catalogue, hands it the database's password, opens its log"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "seed" {
  count = var.trial == null ? 0 : 1

  name = "start"
  role = aws_iam_role.seed[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Says who asks and opens no repository; ECR knows no narrower resource for it.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullItsImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = ["${local.arn}:ecr:${local.region}:${local.account}:repository/${var.trial.repository}"]
      },
      {
        Sid      = "OpenItsLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.arn}:logs:${local.region}:${local.account}:log-group:${var.trial.log_group}:*"]
      },
      {
        Sid      = "HandItItsSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [local.found.songs_dsn.arn, local.password.songs_password.arn]
      },
      {
        Sid       = "ReadThem"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = ["${local.arn}:kms:${local.region}:${local.account}:key/*"]
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = var.kms_alias } }
      },
    ]
  })
}
