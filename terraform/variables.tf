##### What makes an environment: dev.tfvars, prod.tfvars. Without defaults, so that nothing is planned without one of them.

variable "environment" {
  description = "Which environment this is: the tag Environment of every resource."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "Expected dev or prod."
  }
}

variable "trial" {
  description = "Whether the platform is tried out here: the image of the made-up sources has a repository, and trial_catalogue applies."
  type        = bool
}

variable "protect" {
  description = "Whether `terraform destroy` stops before it touches data or images."
  type        = bool
}

variable "secret_recovery_days" {
  description = "Days that a deleted secret can be brought back; 0 deletes at once, so that its name is free again."
  type        = number
}

variable "noncurrent_days" {
  description = "Days that overwritten and deleted objects can be brought back."
  type        = number
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "nat_per_zone" {
  description = "One NAT gateway per zone (a zone may fail) rather than one for all (cheaper)."
  type        = bool
}

variable "http_budget" {
  description = "Seconds that a failing request to the Purchase API is retried: DEFTUNES_HTTP_BUDGET."
  type        = number

  validation {
    condition     = var.http_budget > 0
    error_message = "Expected a number of seconds."
  }
}

variable "batch" {
  description = "AWS Batch for runs of hours: its size and the longest run; null makes none."
  type = object({
    max_vcpus     = number
    timeout_hours = number
  })
}

variable "glue" {
  description = "Size of a Glue job and its longest run."
  type = object({
    workers         = number
    timeout_minutes = number
  })
}

variable "warehouse" {
  description = "Capacity of Redshift Serverless in RPU, and the RPU hours a month after which CloudWatch gets a metric."
  type = object({
    base          = number
    max           = number
    hours_a_month = number
  })
}

variable "airflow" {
  description = "Most workers of Managed Airflow, and who reaches its page: PUBLIC_ONLY (IAM decides) or PRIVATE_ONLY (inside the VPC)."
  type = object({
    max_workers           = number
    webserver_access_mode = string
  })
}

##### What is yours: <environment>.local.tfvars, which git ignores

variable "region" {
  description = "Region of everything."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Expected a region such as eu-central-1."
  }
}

variable "release" {
  description = "Release that runs: the tag of the images and the folder of the artifacts."
  type        = string
}

variable "api_url" {
  description = "Base URL of the Purchase API."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/]+", var.api_url))
    error_message = "Expected a URL such as https://purchases.example.com."
  }
}

variable "api_has_token" {
  description = "Whether the Purchase API wants a token; its value goes into the secret deftunes/api-token."
  type        = bool
  default     = false
}

variable "emails" {
  description = "Who is told when something fails, is late, or is rejected."
  type        = set(string)
}

variable "trial_catalogue" {
  description = "Whether a trial makes a PostgreSQL with a made-up catalogue; without it the DSN of yours goes into the secret deftunes/songs-dsn."
  type        = bool
  default     = true
}

variable "existing_network" {
  description = "A VPC that is there already, its id and three private subnets; null makes one."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
  })
  default = null
}

variable "egress_ports" {
  description = "Ports that tasks must reach beside the usual ones, such as a catalogue's that is not 5432."
  type        = set(number)
  default     = []
}

variable "first_day" {
  description = "First UTC day that the DAGs run for, as YYYY-MM-DD; null: 2020-01-01. Unpausing a DAG begins there, a run a day."
  type        = string
  default     = null

  validation {
    condition     = var.first_day == null || can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.first_day))
    error_message = "Expected a day as YYYY-MM-DD."
  }
}

variable "transform_on" {
  description = "What runs transform and quality: glue (Spark, for days of any size) or ecs (the embedded engine, for days of up to a million records); see docs/aws.md."
  type        = string
  default     = "glue"

  validation {
    condition     = contains(["glue", "ecs"], var.transform_on)
    error_message = "Expected glue or ecs."
  }
}

variable "batch_stages" {
  description = "Container stages that the DAGs send to AWS Batch instead of ECS, for runs of hours; see docs/aws.md."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.batch_stages, concat(["extract", "publish", "load", "model", "check"], var.transform_on == "ecs" ? ["transform", "quality"] : []))) == 0
    error_message = "Expected stages among extract, publish, load, model and check; transform and quality only where transform_on is ecs."
  }

  validation {
    condition     = length(var.batch_stages) == 0 || var.batch != null
    error_message = "Expected no stages: this environment has no AWS Batch (variable batch)."
  }
}

variable "dashboards" {
  description = "Superset behind an internal load balancer: its certificate, and the private addresses that readers come from. About 50 dollars a month, counted in modules/dashboards/README.md. Null makes none."
  type = object({
    certificate_arn = string
    client_cidrs    = set(string)
  })
  default = null
}
