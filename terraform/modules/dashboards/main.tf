data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition
  arn       = "arn:${local.partition}"

  prefix    = "${var.name}-dashboards"
  log_group = "${local.arn}:logs:${local.region}:${local.account}:log-group:${var.shape.log_group}"
  image     = "${local.account}.dkr.ecr.${local.region}.${data.aws_partition.current.dns_suffix}/${var.repository}:${var.release}"

  # Put there by the first deploy, never by Terraform; the address of the warehouse is the stages' own.
  secret_key = "${local.arn}:secretsmanager:${local.region}:${local.account}:secret:${var.shape.secret_key.name}"
  # The metadata's password is AWS's, made and rotated by it: ECS reads the current one at each start.
  password = aws_db_instance.this.master_user_secret[0].secret_arn

  container = {
    name      = var.shape.container
    image     = local.image
    essential = true
    user      = "10001:10001"
    environment = [for name, value in {
      SUPERSET_METADATA_URI = "postgresql+psycopg2://${aws_db_instance.this.username}@${aws_db_instance.this.address}:5432/${aws_db_instance.this.db_name}?sslmode=require"
      SUPERSET_ANONYMOUS    = "true" # who passes the load balancer reads, and nobody logs in
      SUPERSET_HTTPS        = "true"
      # Each request with its sender: the load balancer keeps no log of its own.
      GUNICORN_CMD_ARGS = "--access-logfile=- --access-logformat='%({x-forwarded-for}i)s \"%(r)s\" %(s)s %(b)s %(M)sms'"
      # Redshift bills by the second, a minute at least, and a look at the dashboard asks it 17 questions.
      SUPERSET_CACHE_SECONDS = "300"
    } : { name = name, value = value }]
    secrets = [
      { name = var.shape.secret_key.variable, valueFrom = local.secret_key },
      { name = "PGPASSWORD", valueFrom = "${local.password}:password::" }, # libpq's own, beside an address without one
      { name = var.shape.warehouse.variable, valueFrom = var.warehouse_secret.value_from },
    ]
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "work", containerPath = var.work_folder, readOnly = false }]
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    stopTimeout            = 60
  }
}

##### The service: nobody but the load balancer reaches it

resource "aws_ecs_task_definition" "this" {
  for_each = var.shape.tasks

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.start.arn
  # An import writes the warehouse's address down and needs no answer from there.
  task_role_arn = each.key == "server" ? aws_iam_role.this.arn : null

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  volume {
    name = "work"
  }

  container_definitions = jsonencode([merge(
    local.container,
    each.value.command == null ? {} : { command = each.value.command },
    each.key == "server" ? { portMappings = [{ containerPort = var.shape.port, protocol = "tcp" }] } : {},
    {
      logConfiguration = {
        logDriver = "awslogs"
        options   = { awslogs-group = aws_cloudwatch_log_group.this.name, awslogs-region = local.region, awslogs-stream-prefix = each.key }
      }
    },
  )])
}

# Made without a task. What it runs, and that it runs, is the deploy's: only after a release's dashboards are imported.
resource "aws_ecs_service" "this" {
  name                              = var.shape.service
  cluster                           = var.cluster
  task_definition                   = aws_ecs_task_definition.this["server"].arn
  desired_count                     = 0
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  propagate_tags                    = "SERVICE"
  health_check_grace_period_seconds = 120

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this["service"].id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = var.shape.container
    container_port   = var.shape.port
  }

  # A release that does not start leaves the one before where it is.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count, task_definition]
  }

  depends_on = [aws_lb_listener.this, aws_iam_role_policy.start, aws_iam_role_policy.warehouse]
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:How long is a setting, the same for all logs of the platform
  name              = var.shape.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_secretsmanager_secret" "key" {
  # checkov:skip=CKV2_AWS_57:It signs sessions; another one logs nobody out, since nobody logs in
  name                    = var.shape.secret_key.name
  description             = "Becomes ${var.shape.secret_key.variable} of the dashboards"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0 # the next first deploy makes another, under the same name
}

##### The load balancer: inside the VPC, by HTTPS only, for named addresses

resource "aws_lb" "this" {
  # checkov:skip=CKV_AWS_91:The service logs each request with its sender, encrypted with the platform's key
  # checkov:skip=CKV_AWS_150:It holds nothing, and terraform destroy is to leave nothing of it
  name                       = local.prefix
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.this["balancer"].id]
  drop_invalid_header_fields = true
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

resource "aws_lb_target_group" "this" {
  # checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it are two security groups that know each other only
  name                 = local.prefix
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.shape.port
  deregistration_delay = 30

  # A page that asks the metadata and not the warehouse: after AWS has rotated the password, a task that cannot connect
  # any more is replaced by one that has the new password; and Redshift is not kept awake.
  health_check {
    path                = "/login/"
    matcher             = "200"
    interval            = 60
    timeout             = 20
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

##### Superset's own state: small, private, and made again by a deploy when it is lost

resource "aws_db_instance" "this" {
  # checkov:skip=CKV_AWS_157:Its content comes from files by each deploy; an hour without dashboards is no loss
  # checkov:skip=CKV_AWS_293:The same: nothing in it is worth protecting from terraform destroy
  # checkov:skip=CKV_AWS_118:A database of some megabytes needs no monitoring of its own
  # checkov:skip=CKV_AWS_161:Superset connects by an address and a password, which AWS makes and rotates
  # checkov:skip=CKV2_AWS_30:Its statements are Superset's own bookkeeping, which nobody reads
  identifier                          = local.prefix
  engine                              = "postgres"
  engine_version                      = "17"
  instance_class                      = var.metadata.instance_class
  allocated_storage                   = var.metadata.storage_gib
  storage_type                        = "gp3"
  storage_encrypted                   = true
  kms_key_id                          = var.kms_key_arn
  db_name                             = "superset"
  username                            = "superset"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [aws_security_group.this["metadata"].id]
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

resource "aws_db_subnet_group" "this" {
  name       = local.prefix
  subnet_ids = var.subnet_ids
}

##### Who reaches whom: readers the load balancer, it the service, the service the metadata and the warehouse

resource "aws_security_group" "this" {
  # checkov:skip=CKV2_AWS_5:Attached to the load balancer, the service and the database of this module
  for_each = { balancer = "The dashboards' load balancer", service = "Superset", metadata = "Superset's own state" }

  name        = "${local.prefix}-${each.key}"
  description = each.value
  vpc_id      = var.vpc_id

  tags = { Name = "${local.prefix}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "readers" {
  for_each = var.client_cidrs

  security_group_id = aws_security_group.this["balancer"].id
  description       = "HTTPS from readers"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

locals {
  # Each leaves one group and enters the other. The warehouse's way in is its own module's.
  ways = {
    superset  = { from = aws_security_group.this["balancer"].id, to = aws_security_group.this["service"].id, port = var.shape.port }
    metadata  = { from = aws_security_group.this["service"].id, to = aws_security_group.this["metadata"].id, port = 5432 }
    warehouse = { from = aws_security_group.this["service"].id, to = var.warehouse_security_group_id, port = 5439 }
  }
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.ways

  security_group_id            = each.value.from
  description                  = "To ${each.key}"
  referenced_security_group_id = each.value.to
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = { for name in ["superset", "metadata"] : name => local.ways[name] }

  security_group_id            = each.value.to
  description                  = "To ${each.key}"
  referenced_security_group_id = each.value.from
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "aws" {
  security_group_id = aws_security_group.this["service"].id
  description       = "To AWS: image, secrets, log, and the warehouse's credentials"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

##### What the service may do, and what starts it

resource "aws_iam_role" "this" {
  name               = var.shape.role
  description        = "What the dashboards may do: log in to the warehouse"
  assume_role_policy = jsonencode(local.assumed_by_ecs)
}

# Its user in the warehouse carries the role's name, and reads the BI views only (module serving).
resource "aws_iam_role_policy" "warehouse" {
  name = "warehouse"
  role = aws_iam_role.this.name
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
  name               = "${local.prefix}-start"
  description        = "Pulls Superset's image, hands it its secrets, opens its log"
  assume_role_policy = jsonencode(local.assumed_by_ecs)
}

resource "aws_iam_role_policy" "start" {
  name = "start"
  role = aws_iam_role.start.name
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
        Resource = ["${local.arn}:ecr:${local.region}:${local.account}:repository/${var.repository}"]
      },
      {
        Sid      = "OpenItsLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.log_group}:*"]
      },
      {
        Sid      = "HandItItsSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = ["${local.secret_key}-??????", local.password, var.warehouse_secret.arn]
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

##### When nobody sees anything any more

locals {
  balancer = { LoadBalancer = aws_lb.this.arn_suffix }
  alarms = {
    down = {
      description = "No Superset has answered for ten minutes"
      namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount", statistic = "Minimum", period = 60, periods = 10
      comparison  = "LessThanThreshold", threshold = 1, missing = "breaching"
      dimensions  = merge(local.balancer, { TargetGroup = aws_lb_target_group.this.arn_suffix })
    }
    errors = {
      description = "Superset has answered ten requests or more with an error within five minutes"
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum", period = 300, periods = 1
      comparison  = "GreaterThanOrEqualToThreshold", threshold = 10, missing = "notBreaching"
      dimensions  = local.balancer
    }
    storage = {
      description = "Superset's own database has less than 2 GiB left"
      namespace   = "AWS/RDS", metric = "FreeStorageSpace", statistic = "Minimum", period = 300, periods = 3
      comparison  = "LessThanThreshold", threshold = 2147483648, missing = "notBreaching"
      dimensions  = { DBInstanceIdentifier = local.prefix }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = "${each.value.description}. What to do: docs/aws.md, the heading dashboards"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison
  treat_missing_data  = each.value.missing
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}
