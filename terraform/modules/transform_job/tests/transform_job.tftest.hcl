mock_provider "aws" {
  source = "../../testing"
}

variables {
  name             = "deftunes"
  glue_version     = "5.1"
  script           = "glue_stage.py"
  wheels           = "deftunes.gluewheels.zip"
  jars             = ["deequ.jar", "dqdl.jar"]
  artifacts_bucket = "artifacts"
  release          = "1.4.0"
  log_group_prefix = "/deftunes/glue"
  kms_key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  settings         = { DEFTUNES_LAKE = "s3://a-lake" }
  lake_policies    = { transform_songs = "{}", quality_songs = "{}" }
  jobs = {
    transform_songs = { name = "deftunes-transform-songs", arguments = { "--stage" = "transform", "--entity" = "songs" }, environment = ["DEFTUNES_LAKE"] }
    quality_songs   = { name = "deftunes-quality-songs", arguments = { "--stage" = "quality", "--entity" = "songs" }, environment = [] }
  }
}

run "a_job_is_its_stage" {
  command = plan

  assert {
    condition     = aws_glue_job.this["transform_songs"].default_arguments["--stage"] == "transform" && aws_glue_job.this["transform_songs"].default_arguments["--DEFTUNES_LAKE"] == "s3://a-lake"
    error_message = "Stage and settings must be the job's arguments."
  }

  assert {
    condition     = alltrue([for job in aws_glue_job.this : job.max_retries == 0 && one(job.execution_property).max_concurrent_runs == 1 && job.default_arguments["--job-bookmark-option"] == "job-bookmark-disable"])
    error_message = "Airflow alone tries again, a job never runs beside itself, and Glue's bookmarks are off: the landings say what is new."
  }

  assert {
    condition     = alltrue([for job in aws_glue_job.this : job.default_arguments["--datalake-formats"] == "iceberg" && job.default_arguments["--python-modules-installer-option"] == "--no-index" && strcontains(job.default_arguments["--extra-jars"], "s3://artifacts/releases/1.4.0/glue/jars/deequ.jar")])
    error_message = "A job must run on Iceberg, with the release's jars and wheels and no others."
  }

  assert {
    condition     = length(distinct([for role in aws_iam_role.this : role.name])) == 2 && alltrue([for role in aws_iam_role.this : jsondecode(role.assume_role_policy).Statement[0].Principal.Service == "glue.amazonaws.com"])
    error_message = "Each job needs a role of its own, for Glue only."
  }

  assert {
    condition     = one(one(aws_glue_security_configuration.this.encryption_configuration).s3_encryption).s3_encryption_mode == "SSE-KMS"
    error_message = "What Glue writes must be encrypted with the platform's key."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    glue_version    = "4.0"
    wheels          = "wheels.zip"
    release         = "main"
    worker_type     = "Z.2X"
    workers         = 1
    timeout_minutes = 1
    jobs = {
      transform_songs = { name = "x", arguments = { "--stage" = "transform" }, environment = [] }
    }
  }

  expect_failures = [
    var.glue_version, var.wheels, var.release, var.worker_type, var.workers, var.timeout_minutes, var.jobs,
  ]
}
