variable "name" {
  description = "Name of the Airflow environment, prefix of the rest."
  type        = string
}

variable "environment_class" {
  description = "Size of Airflow. It only starts and watches jobs."
  type        = string
  default     = "mw1.small"

  validation {
    condition     = contains(["mw1.micro", "mw1.small", "mw1.medium", "mw1.large"], var.environment_class)
    error_message = "Expected mw1.micro, mw1.small, mw1.medium or mw1.large."
  }
}

variable "max_workers" {
  description = "Most workers that MWAA starts."
  type        = number
  default     = 2

  validation {
    condition     = var.max_workers >= 1 && var.max_workers <= 25
    error_message = "Expected 1 to 25 workers."
  }
}

variable "webserver_access_mode" {
  description = "PUBLIC_ONLY: the page is on the internet behind IAM. PRIVATE_ONLY: inside the VPC only."
  type        = string

  validation {
    condition     = contains(["PUBLIC_ONLY", "PRIVATE_ONLY"], var.webserver_access_mode)
    error_message = "Expected PUBLIC_ONLY or PRIVATE_ONLY."
  }
}

variable "artifacts_bucket" {
  description = "Bucket that DAGs are read from."
  type        = string
}

variable "dags_folder" {
  description = "Folder with the DAG files; a requirements-mwaa.txt in it is installed."
  type        = string
}

variable "platform_file" {
  description = "platform.json, which the DAGs read beside themselves."
  type        = string
}

variable "dag_settings" {
  description = "What the DAGs read from section [deftunes] of Airflow's configuration; null leaves one out. Nothing secret."
  type        = map(string)

  validation {
    condition     = alltrue([for name in ["cluster", "subnets", "security_groups", "release"] : contains(keys(var.dag_settings), name)])
    error_message = "Expected at least cluster, subnets, security_groups and release: the DAGs start containers with them."
  }
}

variable "jobs" {
  description = "What Airflow may start and watch, by name."
  type = object({
    cluster      = string
    families     = map(string)
    task_roles   = list(string)
    glue_jobs    = list(string)
    rulesets     = list(string)
    quality_role = string
    batch_queue  = optional(string)
    log_groups   = list(string)
  })
}

variable "vpc_id" {
  description = "VPC of Airflow."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets; the first two are used."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Expected two subnets or more: MWAA wants two zones."
  }
}

variable "kms_key_arn" {
  description = "Key of Airflow."
  type        = string
}

variable "kms_alias" {
  description = "Alias of that key, for policies."
  type        = string
}
