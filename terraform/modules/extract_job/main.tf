data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
  arn       = "arn:${local.partition}"

  log_group_arns = { for key, name in var.log_groups : key => "${local.arn}:logs:${local.region}:${local.account}:log-group:${name}" }

  # What a deployment leaves out (an API without a token) is left out of the containers, too.
  given = {
    for task, shape in var.tasks : task => {
      secrets = [for id in shape.secrets : var.secrets[id] if var.secrets[id].value_from != null]
      image   = "${local.account}.dkr.ecr.${local.region}.${data.aws_partition.current.dns_suffix}/${var.images[shape.image].repository}:${var.release}"
      environment = [
        for name in shape.environment : { name = name, value = var.settings[name] }
      ]
      logs = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = var.log_groups[shape.log_group]
          awslogs-region        = local.region
          awslogs-stream-prefix = task
        }
      }
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.cluster

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

# The command is the CLI's without the interval, which each run adds.
resource "aws_ecs_task_definition" "this" {
  for_each = var.tasks

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.start[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = var.disk_gib
  }

  volume {
    name = "work"
  }

  container_definitions = jsonencode([{
    name                   = var.container
    image                  = local.given[each.key].image
    essential              = true
    command                = each.value.command
    environment            = local.given[each.key].environment
    secrets                = [for secret in local.given[each.key].secrets : { name = secret.variable, valueFrom = secret.value_from }]
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "work", containerPath = var.work_folder, readOnly = false }]
    linuxParameters        = { initProcessEnabled = true }
    stopTimeout            = 120 # Fargate's longest: time to end cleanly
    logConfiguration       = local.given[each.key].logs
  }])
}

##### One role per job, and one that starts it

resource "aws_iam_role" "task" {
  for_each = var.tasks

  name               = each.value.family
  description        = "What ${each.key} may do"
  assume_role_policy = jsonencode(local.assumed_by_ecs)
}

resource "aws_iam_role_policy" "lake" {
  for_each = var.tasks

  name   = "lake"
  role   = aws_iam_role.task[each.key].name
  policy = var.lake_policies[each.key]
}

# A role's user in the warehouse carries the role's name; AWS hands out his password for minutes.
resource "aws_iam_role_policy" "warehouse" {
  for_each = { for task, shape in var.tasks : task => shape if contains(shape.secrets, "warehouse_dsn") }

  name = "warehouse"
  role = aws_iam_role.task[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LogInAsItself"
      Effect    = "Allow"
      Action    = ["redshift-serverless:GetCredentials"]
      Resource  = ["${local.arn}:redshift-serverless:${local.region}:${local.account}:workgroup/*"]
      Condition = { StringEquals = { "aws:ResourceTag/Project" = var.name } }
    }]
  })
}

resource "aws_iam_role" "start" {
  for_each = var.tasks

  name               = "${each.value.family}-start"
  description        = "Pulls the image of ${each.key}, hands it its secrets, opens its log"
  assume_role_policy = jsonencode(local.assumed_by_ecs)
}

resource "aws_iam_role_policy" "start" {
  for_each = var.tasks

  name = "start"
  role = aws_iam_role.start[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in [
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
          Resource = ["${local.arn}:ecr:${local.region}:${local.account}:repository/${var.images[each.value.image].repository}"]
        },
        {
          Sid      = "OpenItsLog"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${local.log_group_arns[each.value.log_group]}:*"]
        },
        {
          Sid      = "HandItItsSecrets"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue"]
          Resource = [for secret in local.given[each.key].secrets : secret.arn]
        },
        {
          Sid       = "ReadThem"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = [for key in ["*"] : "${local.arn}:kms:${local.region}:${local.account}:key/${key}" if length(local.given[each.key].secrets) > 0]
          Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = var.kms_alias } }
        },
      ] : statement if length(statement.Resource) > 0
    ]
  })
}

locals {
  assumed_by_ecs = {
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  }
}

##### AWS Batch: the same tasks in a queue, for backfills of hours

resource "aws_batch_compute_environment" "this" {
  count = var.batch == null ? 0 : 1

  name = var.name
  type = "MANAGED"

  compute_resources {
    type               = "FARGATE"
    max_vcpus          = var.batch.max_vcpus
    subnets            = var.batch.subnet_ids
    security_group_ids = var.batch.security_group_ids
  }
}

resource "aws_batch_job_queue" "this" {
  count = var.batch == null ? 0 : 1

  name     = "${var.name}-backfill"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this[0].arn
  }
}

resource "aws_batch_job_definition" "this" {
  # checkov:skip=CKV_AWS_210:The container is not privileged; the check cannot read what jsonencode() makes
  for_each = var.batch == null ? {} : var.tasks

  name                  = each.value.family
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true

  timeout {
    attempt_duration_seconds = var.batch.timeout_hours * 3600
  }

  # Not another try: Airflow tries again, and knows which errors are worth it.
  retry_strategy {
    attempts = 1
  }

  container_properties = jsonencode({
    image                        = local.given[each.key].image
    command                      = each.value.command
    jobRoleArn                   = "${local.arn}:iam::${local.account}:role/${aws_iam_role.task[each.key].name}"
    executionRoleArn             = "${local.arn}:iam::${local.account}:role/${aws_iam_role.start[each.key].name}"
    environment                  = local.given[each.key].environment
    secrets                      = [for secret in local.given[each.key].secrets : { name = secret.variable, valueFrom = secret.value_from }]
    fargatePlatformConfiguration = { platformVersion = "LATEST" }
    networkConfiguration         = { assignPublicIp = "DISABLED" }
    ephemeralStorage             = { sizeInGiB = var.disk_gib }
    privileged                   = false
    logConfiguration             = local.given[each.key].logs
    resourceRequirements = [
      { type = "VCPU", value = tostring(each.value.cpu / 1024) },
      { type = "MEMORY", value = tostring(each.value.memory) },
    ]
  })
}
