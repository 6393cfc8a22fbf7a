mock_provider "aws" {
  source          = "../../testing"
  override_during = plan

  mock_resource "aws_db_instance" {
    defaults = {
      address            = "deftunes-dashboards.mock.eu-central-1.rds.amazonaws.com"
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-mock" }]
    }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/deftunes-dashboards/mock"
      arn_suffix = "app/deftunes-dashboards/mock"
      dns_name   = "internal-deftunes-dashboards.eu-central-1.elb.amazonaws.com"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/deftunes-dashboards/mock" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/mock:1" }
  }
}

override_resource {
  target          = aws_security_group.this["balancer"]
  override_during = plan
  values          = { id = "sg-balancer" }
}

override_resource {
  target          = aws_security_group.this["service"]
  override_during = plan
  values          = { id = "sg-service" }
}

override_resource {
  target          = aws_security_group.this["metadata"]
  override_during = plan
  values          = { id = "sg-metadata" }
}

variables {
  name                        = "deftunes"
  repository                  = "deftunes/superset"
  release                     = "1.4.0"
  cluster                     = "deftunes"
  work_folder                 = "/tmp"
  certificate_arn             = "arn:aws:acm:eu-central-1:123456789012:certificate/mock"
  client_cidrs                = ["10.30.0.0/16", "192.168.7.0/24"]
  vpc_id                      = "vpc-1"
  subnet_ids                  = ["subnet-1", "subnet-2", "subnet-3"]
  warehouse_secret            = { value_from = "arn:warehouse", arn = "arn:warehouse-??????" }
  warehouse_security_group_id = "sg-warehouse"
  log_retention_days          = 90
  topic_arn                   = "arn:aws:sns:eu-central-1:123456789012:deftunes-alerts"
  kms_key_arn                 = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  kms_alias                   = "alias/deftunes"
  shape = {
    role       = "deftunes-dashboards", service = "deftunes-dashboards", container = "superset", port = 8088, log_group = "/deftunes/dashboards"
    secret_key = { name = "deftunes/superset-secret-key", variable = "SUPERSET_SECRET_KEY" }
    warehouse  = { variable = "SUPERSET_WAREHOUSE_URI" }
    tasks = {
      assets = { family = "deftunes-dashboards-assets", command = ["python", "-m", "assets", "import", "bundle"], cpu = 512, memory = 1024 }
      server = { family = "deftunes-dashboards", cpu = 512, memory = 1024 }
    }
  }
}

run "each_reaches_the_next_and_nobody_else" {
  command = plan

  assert {
    condition     = aws_lb.this.internal && aws_lb_listener.this.protocol == "HTTPS" && aws_lb_listener.this.port == 443 && aws_lb_listener.this.certificate_arn == var.certificate_arn
    error_message = "Readers come inside the VPC, by HTTPS."
  }

  assert {
    condition     = { for cidr, rule in aws_vpc_security_group_ingress_rule.readers : cidr => "${rule.security_group_id}:${rule.from_port}-${rule.to_port}" } == { for cidr in var.client_cidrs : cidr => "sg-balancer:443-443" }
    error_message = "The load balancer lets named addresses in, to HTTPS only."
  }

  assert {
    condition = { for name, rule in aws_vpc_security_group_ingress_rule.this : name => "${rule.referenced_security_group_id} ${rule.security_group_id}:${rule.from_port}-${rule.to_port}" } == {
      superset = "sg-balancer sg-service:8088-8088"
      metadata = "sg-service sg-metadata:5432-5432"
    }
    error_message = "Only the load balancer reaches the service, and only the service its metadata."
  }

  assert {
    condition = { for name, rule in aws_vpc_security_group_egress_rule.this : name => "${rule.security_group_id} ${rule.referenced_security_group_id}:${rule.from_port}-${rule.to_port}" } == {
      superset  = "sg-balancer sg-service:8088-8088"
      metadata  = "sg-service sg-metadata:5432-5432"
      warehouse = "sg-service sg-warehouse:5439-5439"
    }
    error_message = "The load balancer leaves to the service, the service to its metadata and the warehouse."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.aws.security_group_id == "sg-service" && aws_vpc_security_group_egress_rule.aws.from_port == 443 && aws_vpc_security_group_egress_rule.aws.to_port == 443
    error_message = "Beyond that the service reaches AWS by HTTPS."
  }

  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.storage_encrypted && aws_db_instance.this.manage_master_user_password && toset(aws_db_instance.this.vpc_security_group_ids) == toset(["sg-metadata"])
    error_message = "The metadata must be private and encrypted, its password AWS's."
  }

  assert {
    condition     = toset(one(aws_ecs_service.this.network_configuration).subnets) == toset(var.subnet_ids) && !one(aws_ecs_service.this.network_configuration).assign_public_ip && toset(one(aws_ecs_service.this.network_configuration).security_groups) == toset(["sg-service"])
    error_message = "The service is in private subnets, in its own security group."
  }
}

run "a_container_is_locked_down_and_holds_no_secret" {
  command = plan

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.this : alltrue([
        for container in jsondecode(task.container_definitions) :
        container.readonlyRootFilesystem && container.user == "10001:10001" && container.linuxParameters.capabilities.drop == ["ALL"] &&
        [for mount in container.mountPoints : mount.containerPath] == ["/tmp"] &&
        container.image == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/deftunes/superset:1.4.0"
      ])
    ])
    error_message = "Both tasks run the release, as nobody in particular, and write to the work folder only."
  }

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.this : { for secret in jsondecode(task.container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
        SUPERSET_SECRET_KEY    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:deftunes/superset-secret-key"
        PGPASSWORD             = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-mock:password::"
        SUPERSET_WAREHOUSE_URI = "arn:warehouse"
      }
    ])
    error_message = "Key, password and address come from Secrets Manager."
  }

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.this : { for setting in jsondecode(task.container_definitions)[0].environment : setting.name => setting.value if setting.name != "GUNICORN_CMD_ARGS" } == {
        SUPERSET_METADATA_URI  = "postgresql+psycopg2://superset@deftunes-dashboards.mock.eu-central-1.rds.amazonaws.com:5432/superset?sslmode=require"
        SUPERSET_ANONYMOUS     = "true"
        SUPERSET_HTTPS         = "true"
        SUPERSET_CACHE_SECONDS = "300"
      }
    ])
    error_message = "What is not secret is an address without a password, and how Superset is reached."
  }

  assert {
    condition     = !contains(keys(jsondecode(aws_ecs_task_definition.this["server"].container_definitions)[0]), "command") && tolist(jsondecode(aws_ecs_task_definition.this["assets"].container_definitions)[0].command) == var.shape.tasks.assets.command
    error_message = "The server is what the image starts; the import is a command."
  }
}

run "a_deploy_decides_when_it_runs" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.desired_count == 0 && one(aws_ecs_service.this.deployment_circuit_breaker).rollback
    error_message = "Nothing may run before its dashboards are imported, and a release that does not start must go back."
  }

  assert {
    condition     = output.deployment.families == { assets = "deftunes-dashboards-assets", server = "deftunes-dashboards" } && output.deployment.service == "deftunes-dashboards" && output.deployment.secret_key == "deftunes/superset-secret-key" && tolist(output.deployment.security_groups) == tolist(["sg-service"])
    error_message = "make deploy must learn what to run, and where."
  }
}

run "it_may_log_in_to_the_warehouse_and_nothing_else" {
  command = plan

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.warehouse.policy).Statement : statement.Action] == [["redshift-serverless:GetCredentials"]]
    error_message = "The service's role logs in to the warehouse; what it reads is decided there."
  }

  assert {
    condition     = toset([for statement in jsondecode(aws_iam_role_policy.start.policy).Statement : statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")][0]) == toset(["arn:aws:secretsmanager:eu-central-1:123456789012:secret:deftunes/superset-secret-key-??????", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-mock", "arn:warehouse-??????"])
    error_message = "It is handed its own three secrets only."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : toset(alarm.alarm_actions) == toset([var.topic_arn])]) && toset(output.alarms) == toset(["deftunes-dashboards-down", "deftunes-dashboards-errors", "deftunes-dashboards-storage"]) && aws_cloudwatch_metric_alarm.this["down"].treat_missing_data == "breaching"
    error_message = "Somebody must hear it, silence included."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 90 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_secretsmanager_secret.key.kms_key_id == var.kms_key_arn
    error_message = "The log needs an end, and log and key the platform's key."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    release            = "latest"
    certificate_arn    = "a certificate"
    client_cidrs       = ["0.0.0.0/0"]
    subnet_ids         = ["subnet-1"]
    metadata           = { instance_class = "t4g.micro", storage_gib = 5 }
    log_retention_days = 8
  }

  expect_failures = [
    var.release, var.certificate_arn, var.client_cidrs, var.subnet_ids, var.metadata, var.log_retention_days,
  ]
}

run "addresses_of_the_internet_and_no_addresses_are_refused" {
  command = plan

  variables {
    client_cidrs = ["10.30.0.0/16", "172.32.0.0/16"]
    shape = {
      role       = "deftunes-dashboards", service = "deftunes-dashboards", container = "superset", port = 8088, log_group = "/deftunes/dashboards"
      secret_key = { name = "deftunes/superset-secret-key", variable = "SUPERSET_SECRET_KEY" }
      warehouse  = { variable = "SUPERSET_WAREHOUSE_URI" }
      tasks      = { server = { family = "deftunes-dashboards", cpu = 256, memory = 512 } }
    }
  }

  expect_failures = [var.client_cidrs, var.shape]
}
