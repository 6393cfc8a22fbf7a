variable "name" {
  description = "Prefix of every name in this module."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "Expected 3 to 20 lower-case letters, digits and dashes: bucket names are made of it."
  }
}

variable "buckets" {
  description = "The part of each bucket's name that says what it holds, by role: lake, artifacts, logs."
  type        = map(string)

  validation {
    condition     = toset(keys(var.buckets)) == toset(["lake", "artifacts", "logs"])
    error_message = "Expected a suffix for lake, artifacts and logs."
  }
}

variable "database" {
  description = "Glue database of silver."
  type        = string
}

variable "entities" {
  description = "Entities of the platform."
  type        = list(string)
  default     = ["songs", "users", "sessions"]
}

variable "protect" {
  description = "Keep the data on purpose: `terraform destroy` refuses, and buckets with objects are not emptied."
  type        = bool
}

variable "noncurrent_days" {
  description = "Days that overwritten and deleted objects can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 7
    error_message = "Expected 7 days or more: a mistake must be noticed before its cure is gone."
  }
}

variable "log_days" {
  description = "Days that access logs and the log of runs are kept."
  type        = number
  default     = 400

  validation {
    condition     = var.log_days >= 30
    error_message = "Expected 30 days or more."
  }
}
