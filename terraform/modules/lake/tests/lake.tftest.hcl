mock_provider "aws" {
  source = "../../testing"
}

variables {
  name     = "deftunes"
  buckets  = { lake = "lake", artifacts = "artifacts", logs = "logs" }
  database = "deftunes_transform"
  protect  = true
}

run "data_is_closed_encrypted_and_kept_and_each_stage_gets_its_part" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket_public_access_block.this) == 3 && alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "Public access must be blocked in all four ways on each bucket."
  }

  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 3 && alltrue([for versioning in aws_s3_bucket_versioning.this : versioning.versioning_configuration[0].status == "Enabled"])
    error_message = "Each bucket must be versioned."
  }

  assert {
    condition = alltrue([
      for role in ["lake", "artifacts"] :
      one(one(aws_s3_bucket_server_side_encryption_configuration.this[role].rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    ])
    error_message = "The lake and the artifacts must be encrypted with the platform's key."
  }

  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.this : contains([for s in jsondecode(policy.policy).Statement : s.Sid if s.Effect == "Deny" && try(s.Condition.Bool["aws:SecureTransport"], "") == "false"], "TlsOnly")])
    error_message = "Each bucket must refuse requests without TLS."
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key must rotate."
  }

  assert {
    condition     = toset(keys(aws_s3_bucket_logging.this)) == toset(["lake", "artifacts"])
    error_message = "Access to the lake and to the artifacts must be logged."
  }

  assert {
    condition     = aws_glue_catalog_database.this.location_uri == "s3://deftunes-lake-123456789012-eu-central-1/transform/deftunes_transform.db"
    error_message = "Spark and PyIceberg must put silver at transform/ of the lake."
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy]) && length(terraform_data.protected) == 1
    error_message = "Protected data must survive terraform destroy."
  }

  assert {
    condition = alltrue(flatten([
      for rule in aws_s3_bucket_lifecycle_configuration.this["lake"].rule : length(rule.expiration) == 0 || one(rule.filter).prefix == "runs/"
    ]))
    error_message = "Only the log of runs may expire: table files and landings are never deleted by age."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this["lake"].rule : length(rule.transition) == 0 || one(rule.filter).prefix == "landing/"])
    error_message = "Only landing may move to colder storage: Iceberg reads its files every day."
  }

  assert {
    condition = anytrue([
      for s in jsondecode(aws_s3_bucket_policy.this["lake"].policy).Statement :
      s.Effect == "Deny" && s.Principal == "*" && contains(s.Action, "s3:DeleteObject") && contains(s.Action, "s3:DeleteObjectVersion") && contains(s.Resource, "arn:aws:s3:::deftunes-lake-123456789012-eu-central-1/landing/*")
    ])
    error_message = "The lake must deny the deletion of landings to everybody."
  }

  assert {
    condition = alltrue(flatten([
      for policy in values(output.policies) : [
        for s in jsondecode(policy).Statement : [for resource in s.Resource : !strcontains(resource, "/landing")] if length([for action in s.Action : action if startswith(action, "s3:Delete")]) > 0
      ]
    ]))
    error_message = "No stage may delete below landing/."
  }

  assert {
    condition = alltrue([
      for who in ["load_songs", "load_users", "load_sessions", "model", "check_songs", "check_api", "warehouse", "monitor", "extract_songs", "extract_users", "extract_sessions"] :
      length([for s in jsondecode(output.policies[who]).Statement : s if contains(s.Action, "s3:PutObject") && anytrue([for r in s.Resource : strcontains(r, "/transform/")])]) == 0
    ])
    error_message = "Only transform, quality and publish may write silver."
  }

  assert {
    condition = alltrue([
      for who in ["transform_songs", "quality_songs", "publish_songs", "load_songs", "model", "check_api"] :
      length([for s in jsondecode(output.policies[who]).Statement : s if contains(s.Action, "s3:PutObject") && anytrue([for r in s.Resource : strcontains(r, "/landing/")])]) == 0
    ])
    error_message = "Only extract may write landing."
  }

  assert {
    condition = alltrue([
      for who in ["transform_songs", "publish_songs"] : alltrue(flatten([
        for s in jsondecode(output.policies[who]).Statement : [
          for r in s.Resource : !strcontains(r, "/users/") || endswith(r, "/users/metadata/*") if contains(s.Action, "s3:PutObject")
        ]
      ]))
    ])
    error_message = "Songs' stages may write the metadata of the other tables, which the first run makes, and no rows."
  }

  assert {
    condition     = length(output.policies) == 20
    error_message = "Five stages of three entities, model, the two checks, warehouse and monitor have a policy each."
  }
}

run "a_trial_can_be_removed" {
  command = plan

  variables {
    protect = false
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy]) && length(terraform_data.protected) == 0
    error_message = "Without protect terraform destroy must leave nothing."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name            = "De Ftunes"
    buckets         = { lake = "lake" }
    noncurrent_days = 1
    log_days        = 1
  }

  expect_failures = [var.name, var.buckets, var.noncurrent_days, var.log_days]
}
