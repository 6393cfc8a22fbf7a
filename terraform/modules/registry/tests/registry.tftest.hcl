mock_provider "aws" {
  source = "../../testing"
}

variables {
  images       = { extract = { repository = "deftunes/extract" }, dbt = { repository = "deftunes/dbt" } }
  kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/mock"
  force_delete = false
}

run "a_tag_is_a_release_for_good" {
  command = plan

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE"])
    error_message = "A pushed tag must never move."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : one(repository.image_scanning_configuration).scan_on_push])
    error_message = "Each push must be scanned."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : one(repository.encryption_configuration).kms_key == var.kms_key_arn])
    error_message = "Images must be encrypted with the platform's key."
  }

  assert {
    condition     = toset([for repository in aws_ecr_repository.this : repository.name]) == toset(["deftunes/extract", "deftunes/dbt"]) && length(aws_ecr_lifecycle_policy.this) == 2
    error_message = "Each image needs its repository, and each repository its lifecycle."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    images        = { extract = { repository = "Deftunes Extract" } }
    keep_releases = 1
  }

  expect_failures = [var.images, var.keep_releases]
}
