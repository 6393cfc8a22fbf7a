mock_provider "aws" {
  source = "../testing"
}

variables {
  region      = "eu-central-1"
  environment = "dev"
}

run "state_is_kept_closed_and_versioned" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "State must be versioned and encrypted."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "State must be closed to the public in all four ways."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    region      = "Frankfurt"
    environment = "staging"
  }

  expect_failures = [var.region, var.environment]
}
