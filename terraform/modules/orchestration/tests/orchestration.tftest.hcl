mock_provider "aws" {
  source = "../../testing"
}

variables {
  name                  = "deftunes"
  webserver_access_mode = "PRIVATE_ONLY"
  artifacts_bucket      = "artifacts"
  dags_folder           = "tests/dags"
  platform_file         = "../../../platform.json"
  dag_settings          = { cluster = "deftunes", subnets = "subnet-1", security_groups = "sg-1", release = "1.4.0" }
  vpc_id                = "vpc-1"
  subnet_ids            = ["subnet-1", "subnet-2", "subnet-3"]
  kms_key_arn           = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  kms_alias             = "alias/deftunes"
  jobs = {
    cluster      = "deftunes"
    families     = { model = "deftunes-model" }
    task_roles   = ["deftunes-model", "deftunes-model-start"]
    glue_jobs    = ["deftunes-transform-songs"]
    rulesets     = ["deftunes-songs"]
    quality_role = "deftunes-data-quality"
    log_groups   = ["/deftunes/model"]
  }
}

run "airflow_is_the_tested_one_and_starts_its_jobs_only" {
  command = plan

  assert {
    condition     = aws_mwaa_environment.this.airflow_version == "3.0.6"
    error_message = "Airflow must be 3.0.6, as in compose."
  }

  assert {
    condition     = aws_mwaa_environment.this.airflow_configuration_options["deftunes.release"] == "1.4.0"
    error_message = "The DAGs must learn which release to run."
  }

  assert {
    condition     = length(one(aws_mwaa_environment.this.network_configuration).subnet_ids) == 2 && aws_mwaa_environment.this.webserver_access_mode == "PRIVATE_ONLY" && aws_mwaa_environment.this.kms_key == var.kms_key_arn
    error_message = "Airflow must be in two private subnets, encrypted, its page where it was asked to be."
  }

  assert {
    condition     = aws_s3_object.platform.key == "airflow/dags/platform.json"
    error_message = "The DAGs read platform.json beside themselves."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.this : rule.from_port]) == toset([443, 5432])
    error_message = "Only Airflow itself may connect to it."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.this["run-jobs"].policy).Statement :
      contains(["ecs-tasks.amazonaws.com", "glue.amazonaws.com"], statement.Condition.StringEquals["iam:PassedToService"]) if contains(statement.Action, "iam:PassRole")
    ])
    error_message = "A role may be passed to ECS or Glue only."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.this : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : !startswith(action, "s3:Put") && !startswith(action, "s3:Delete") && !startswith(action, "secretsmanager:")]
      ]
    ]))
    error_message = "Airflow must write no object and read no secret."
  }

  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.this["run-jobs"].policy).Statement : statement if startswith(statement.Action[0], "batch:")]) == 0
    error_message = "Without a queue Airflow has no business with Batch."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    environment_class     = "mw1.gigantic"
    max_workers           = 0
    webserver_access_mode = "OPEN"
    dag_settings          = { cluster = "deftunes" }
    subnet_ids            = ["subnet-1"]
  }

  expect_failures = [
    var.environment_class, var.max_workers, var.webserver_access_mode, var.dag_settings, var.subnet_ids,
  ]
}
