variable "name" {
  description = "Prefix of every name in this module, and the namespace of its metrics."
  type        = string
}

variable "log_groups" {
  description = "Names of the log groups by key; publish, transform and glue_output are counted from."
  type        = map(string)

  validation {
    condition     = length(setsubtract(["publish", "transform", "glue_output"], keys(var.log_groups))) == 0
    error_message = "Expected publish, transform and glue_output among the log groups: freshness and quarantine are counted there."
  }
}

variable "entities" {
  description = "Entities that freshness and quarantine are watched for."
  type        = list(string)
  default     = ["songs", "users", "sessions"]
}

variable "cluster" {
  description = "ECS cluster whose tasks are watched."
  type        = string
}

variable "glue_jobs" {
  description = "Glue jobs that are watched."
  type        = list(string)
}

variable "emails" {
  description = "Who is told. Each address must confirm the mail that AWS sends."
  type        = set(string)

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "Expected mail addresses."
  }
}

variable "retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.retention_days)
    error_message = "Expected one of CloudWatch's retention periods of 30 days or more: 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "freshness_days" {
  description = "Days without a publish after which somebody is told."
  type        = number
  default     = 2

  validation {
    condition     = var.freshness_days >= 1 && var.freshness_days <= 7
    error_message = "Expected 1 to 7 days: CloudWatch looks no further back."
  }
}

variable "quarantine_share" {
  description = "Share of rejected records of a day above which somebody is told."
  type        = number
  default     = 0.02

  validation {
    condition     = var.quarantine_share > 0 && var.quarantine_share < 1
    error_message = "Expected a share between 0 and 1, such as 0.02."
  }
}

variable "kms_key_arn" {
  description = "Key of the logs."
  type        = string
}

variable "kms_alias" {
  description = "Alias of the same key, for the topic."
  type        = string
}
