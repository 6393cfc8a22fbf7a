mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "deftunes"
  cluster     = "deftunes"
  container   = "stage"
  release     = "1.4.0"
  work_folder = "/tmp"
  kms_alias   = "alias/deftunes"
  images      = { extract = { repository = "deftunes/extract" }, dbt = { repository = "deftunes/dbt" } }
  log_groups  = { extract = "/deftunes/extract", model = "/deftunes/model" }
  settings    = { DEFTUNES_LAKE = "s3://a-lake" }
  secrets = {
    songs_dsn      = { variable = "DEFTUNES_SONGS_DSN", value_from = "arn:songs", arn = "arn:songs-??????" }
    songs_password = { variable = "PGPASSWORD", optional = true }
    warehouse_dsn  = { variable = "DEFTUNES_WAREHOUSE_DSN", value_from = "arn:warehouse", arn = "arn:warehouse-??????" }
  }
  tasks = {
    extract_songs = {
      family    = "deftunes-extract-songs", image = "extract", command = ["extract", "songs"], cpu = 512, memory = 1024
      log_group = "extract", environment = ["DEFTUNES_LAKE"], secrets = ["songs_dsn", "songs_password"]
    }
    model = {
      family    = "deftunes-model", image = "dbt", command = ["model"], cpu = 512, memory = 1024
      log_group = "model", environment = ["DEFTUNES_LAKE"], secrets = ["warehouse_dsn"]
    }
  }
  lake_policies = { extract_songs = "{}", model = "{}" }
}

run "a_task_is_its_stage_and_has_a_role_of_its_own" {
  command = plan

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["extract_songs"].container_definitions)[0].image == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/deftunes/extract:1.4.0"
    error_message = "The image must be the release of the stage's repository in this account."
  }

  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.this : jsondecode(task.container_definitions)[0].readonlyRootFilesystem && jsondecode(task.container_definitions)[0].mountPoints[0].containerPath == "/tmp"])
    error_message = "Only the work folder may be written."
  }

  assert {
    condition     = [for secret in jsondecode(aws_ecs_task_definition.this["extract_songs"].container_definitions)[0].secrets : secret.name] == ["DEFTUNES_SONGS_DSN"]
    error_message = "An optional secret that nobody gave must be left out."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["model"].container_definitions)[0].environment == [{ name = "DEFTUNES_LAKE", value = "s3://a-lake" }]
    error_message = "Settings must reach the container under the names that the task lists."
  }

  assert {
    condition     = length(aws_batch_job_queue.this) == 0 && length(aws_batch_job_definition.this) == 0
    error_message = "Batch is an option."
  }

  assert {
    condition     = length(distinct(output.passed_role_names)) == 4
    error_message = "Every task needs a role of its own and one that starts it."
  }

  assert {
    condition     = keys(aws_iam_role_policy.warehouse) == ["model"]
    error_message = "Only tasks that know the warehouse may log in to it: extract cannot read gold."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.start["model"].policy, "arn:songs") && strcontains(aws_iam_role_policy.start["model"].policy, "arn:warehouse-??????")
    error_message = "A task may be handed its own secrets only."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.task : jsondecode(role.assume_role_policy).Statement[0].Principal.Service == "ecs-tasks.amazonaws.com" && jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"])
    error_message = "Only ECS on behalf of this account may take a task's role."
  }
}

run "batch_runs_the_same_tasks" {
  command = plan

  variables {
    batch = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"], max_vcpus = 16, timeout_hours = 12 }
  }

  assert {
    condition     = alltrue([for task, job in aws_batch_job_definition.this : tolist(jsondecode(job.container_properties).command) == var.tasks[task].command && jsondecode(job.container_properties).image == jsondecode(aws_ecs_task_definition.this[task].container_definitions)[0].image])
    error_message = "A job must run what the task runs."
  }

  assert {
    condition     = one(aws_batch_compute_environment.this[0].compute_resources).type == "FARGATE" && jsondecode(aws_batch_job_definition.this["model"].container_properties).networkConfiguration.assignPublicIp == "DISABLED"
    error_message = "Batch runs on Fargate, in private subnets."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    release  = "latest"
    disk_gib = 5
    batch    = { subnet_ids = [], security_group_ids = [], max_vcpus = 1, timeout_hours = 12 }
    secrets = {
      songs_dsn      = { variable = "DEFTUNES_SONGS_DSN" }
      songs_password = { variable = "PGPASSWORD", optional = true }
      warehouse_dsn  = { variable = "DEFTUNES_WAREHOUSE_DSN" }
    }
    tasks = {
      model = {
        family    = "deftunes-model", image = "dbt", command = ["model"], cpu = 512, memory = 512
        log_group = "model", environment = [], secrets = []
      }
    }
  }

  expect_failures = [var.release, var.disk_gib, var.batch, var.secrets, var.tasks]
}
