mock_provider "aws" {
  source = "../../testing"

  mock_resource "aws_redshiftserverless_workgroup" {
    defaults = {
      endpoint = [{ address = "deftunes.123456789012.eu-central-1.redshift-serverless.amazonaws.com", port = 5439 }]
    }
  }
}

variables {
  name          = "deftunes"
  glue_database = "deftunes_transform"
  schemas = {
    transform = "deftunes_transform", serving = "deftunes_serving", bi_views = "deftunes_bi_views", control = "deftunes_control"
  }
  login_roles               = { load_songs = "deftunes-load-songs", model = "deftunes-model", check_api = "deftunes-check-api" }
  bi_role                   = "deftunes-dashboards"
  lake_policy               = "{}"
  dsn_secret                = { name = "deftunes/warehouse-dsn" }
  secret_recovery_days      = 30
  kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2", "subnet-3"]
  client_security_group_ids = { tasks = "sg-tasks" }
  capacity                  = { base = 8, max = 32, hours_a_month = 100 }
}

run "the_warehouse_is_private_and_everybody_has_his_rights" {
  command = plan

  assert {
    condition     = !aws_redshiftserverless_workgroup.this.publicly_accessible && aws_redshiftserverless_workgroup.this.enhanced_vpc_routing
    error_message = "The warehouse must be inside the VPC, and stay there when it reads silver."
  }

  assert {
    condition     = anytrue([for parameter in aws_redshiftserverless_workgroup.this.config_parameter : parameter.parameter_key == "require_ssl" && parameter.parameter_value == "true"])
    error_message = "Connections without TLS must be refused."
  }

  assert {
    condition     = aws_redshiftserverless_namespace.this.kms_key_id == var.kms_key_arn && aws_redshiftserverless_namespace.this.manage_admin_password
    error_message = "The warehouse must be encrypted, and its administrator's password must be AWS's."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.referenced_security_group_id == "sg-tasks" && rule.from_port == 5439 && rule.to_port == 5439]) && length(aws_vpc_security_group_ingress_rule.this) == 1
    error_message = "Only named security groups may connect, to Redshift's port only."
  }

  assert {
    condition     = toset(keys(aws_redshiftdata_statement.schema)) == toset(values(var.schemas)) && strcontains(aws_redshiftdata_statement.schema["deftunes_transform"].sql, "from data catalog database 'deftunes_transform'")
    error_message = "Silver must be an external schema over the Glue catalog, beside the schemas of gold."
  }

  assert {
    condition     = alltrue([for statement in aws_redshiftdata_statement.user : endswith(statement.sql, "password disable")])
    error_message = "No user may have a password."
  }

  assert {
    condition     = aws_redshiftdata_statement.member["load_songs"].sql == "grant role deftunes_loader to \"IAMR:deftunes-load-songs\"" && aws_redshiftdata_statement.member["model"].sql == "grant role deftunes_modeler to \"IAMR:deftunes-model\"" && aws_redshiftdata_statement.member["check_api"].sql == "grant role deftunes_checker to \"IAMR:deftunes-check-api\""
    error_message = "load keeps the books, model makes gold, check reads both."
  }

  assert {
    condition     = alltrue([for name, statement in aws_redshiftdata_statement.grant : !can(regex("(insert|update|delete|create)", statement.sql)) if startswith(name, "reader-")])
    error_message = "Readers read."
  }

  assert {
    condition     = alltrue([for name, statement in aws_redshiftdata_statement.grant : !strcontains(statement.sql, "create") || !strcontains(statement.sql, "deftunes_serving") if startswith(name, "loader-")])
    error_message = "load makes nothing in gold."
  }
}

run "dashboards_see_the_views_and_nothing_else" {
  command = plan

  assert {
    condition     = aws_redshiftdata_statement.user["dashboards"].sql == "create user \"IAMR:deftunes-dashboards\" password disable" && aws_redshiftdata_statement.member["dashboards"].sql == "grant role deftunes_bi to \"IAMR:deftunes-dashboards\""
    error_message = "The dashboards' role must be a user without a password, in the database role of its own."
  }

  assert {
    condition = toset([for statement in aws_redshiftdata_statement.grant : statement.sql if endswith(statement.sql, "deftunes_bi")]) == toset([
      "grant usage on schema deftunes_bi_views to role deftunes_bi",
      "grant select for tables in schema deftunes_bi_views to role deftunes_bi",
    ])
    error_message = "It may select from the views, and nothing else."
  }

  assert {
    condition     = aws_redshiftdata_statement.limit.sql == "alter user \"IAMR:deftunes-dashboards\" set statement_timeout to 30000"
    error_message = "No chart may hold the warehouse for longer than 30 seconds."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    login_roles          = { extract_songs = "deftunes-extract-songs" }
    secret_recovery_days = 3
    subnet_ids           = ["subnet-1"]
    capacity             = { base = 12, max = 8, hours_a_month = 0 }
  }

  expect_failures = [var.login_roles, var.secret_recovery_days, var.subnet_ids, var.capacity]
}
