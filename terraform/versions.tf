terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0" # exact: no lock file is kept
    }
  }

  # Bucket and region come with `terraform init`, printed by terraform/bootstrap, and so does the key: deftunes/<environment>.tfstate.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = local.platform.name, Environment = var.environment, ManagedBy = "terraform" }
  }
}
