mock_provider "aws" {
  source = "../../testing"

  mock_resource "aws_db_instance" {
    defaults = {
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds-mock" }]
    }
  }
}

variables {
  name                 = "deftunes"
  api_has_token        = true
  secret_recovery_days = 30
  kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  kms_alias            = "alias/deftunes"
  secrets = {
    songs_dsn      = { name = "deftunes/songs-dsn", variable = "DEFTUNES_SONGS_DSN" }
    songs_password = { name = "deftunes/songs-password", variable = "PGPASSWORD" }
    api_token      = { name = "deftunes/api-token", variable = "DEFTUNES_API_TOKEN" }
  }
}

run "secrets_are_empty_boxes" {
  command = plan

  assert {
    condition     = toset(keys(aws_secretsmanager_secret.this)) == toset(["songs_dsn", "api_token"]) && length(aws_secretsmanager_secret_version.trial) == 0
    error_message = "Without a trial Terraform must make the secrets and put nothing in."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn])
    error_message = "Secrets must be encrypted with the platform's key."
  }

  assert {
    condition     = output.secrets.songs_dsn.value_from == "arn:aws:secretsmanager:eu-central-1:123456789012:secret:deftunes/songs-dsn" && length(aws_db_instance.trial) == 0
    error_message = "The stages must look where the secret is."
  }
}

run "a_trial_has_a_private_database" {
  command = plan

  variables {
    api_has_token = false
    trial = {
      instance_class = "db.t4g.micro", vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], client_security_group_id = "sg-tasks"
      container      = "stage", image = "registry/purchase-api:1.4.0", repository = "deftunes/purchase-api", log_group = "/deftunes/extract"
    }
  }

  assert {
    condition     = !aws_db_instance.trial[0].publicly_accessible && aws_db_instance.trial[0].storage_encrypted && aws_db_instance.trial[0].manage_master_user_password
    error_message = "The database must be private and encrypted, its password AWS's."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.trial[0].referenced_security_group_id == "sg-tasks" && aws_vpc_security_group_ingress_rule.trial[0].from_port == 5432 && aws_vpc_security_group_ingress_rule.trial[0].to_port == 5432
    error_message = "Only tasks may connect, to PostgreSQL's port only."
  }

  assert {
    condition     = keys(aws_secretsmanager_secret.this) == ["songs_dsn"]
    error_message = "An API without a token needs no secret."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    secret_recovery_days = 3
    trial = {
      instance_class = "t4g.micro", vpc_id = "vpc-1", subnet_ids = [], client_security_group_id = "sg-tasks"
      container      = "stage", image = "x", repository = "x", log_group = "/x"
    }
  }

  expect_failures = [var.secret_recovery_days, var.trial]
}
