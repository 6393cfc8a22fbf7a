variable "name" {
  description = "Prefix of every name in this module."
  type        = string
}

variable "jobs" {
  description = "Stages that run as Glue jobs, by task id: the job's name, the arguments that say which stage it is, the settings it is given."
  type = map(object({
    name        = string
    arguments   = map(string)
    environment = list(string)
  }))

  validation {
    condition     = alltrue([for job in var.jobs : toset(keys(job.arguments)) == toset(["--stage", "--entity"])])
    error_message = "Expected --stage and --entity for every job; --start and --end come with the run."
  }
}

variable "settings" {
  description = "Value of each setting that a job names. Nothing secret: Glue shows a job's arguments."
  type        = map(string)
}

variable "glue_version" {
  description = "Version of Glue, and with it of Spark, Java and Iceberg."
  type        = string

  validation {
    condition     = var.glue_version == "5.1"
    error_message = "Expected 5.1: Spark 3.5.6 and Iceberg 1.10.0, which the jobs are tested on. Another version is a release of its own."
  }
}

variable "script" {
  description = "Name of the script in the release."
  type        = string
}

variable "wheels" {
  description = "Name of the zip of wheels in the release."
  type        = string

  validation {
    condition     = endswith(var.wheels, ".gluewheels.zip")
    error_message = "Expected a name that ends with .gluewheels.zip: Glue installs wheels from such a zip only."
  }
}

variable "jars" {
  description = "Names of the jars in the release, beside Glue's own."
  type        = list(string)
}

variable "artifacts_bucket" {
  description = "Bucket that releases are uploaded to."
  type        = string
}

variable "release" {
  description = "Release that the jobs run."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+([+.-][0-9A-Za-z.-]+)?$", var.release))
    error_message = "Expected a release such as 1.4.0."
  }
}

variable "worker_type" {
  description = "Size of a worker."
  type        = string
  default     = "G.1X"

  validation {
    condition     = contains(["G.1X", "G.2X", "G.4X", "G.8X"], var.worker_type)
    error_message = "Expected G.1X, G.2X, G.4X or G.8X."
  }
}

variable "workers" {
  description = "Workers of a run, the driver among them."
  type        = number
  default     = 2

  validation {
    condition     = var.workers >= 2 && var.workers <= 100
    error_message = "Expected 2 to 100 workers."
  }
}

variable "timeout_minutes" {
  description = "Minutes after which a run is stopped."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_minutes >= 5 && var.timeout_minutes <= 2880
    error_message = "Expected 5 to 2880 minutes."
  }
}

variable "log_group_prefix" {
  description = "Where Glue writes logs: <prefix>/output and <prefix>/error."
  type        = string
}

variable "lake_policies" {
  description = "IAM policies for the lake by task id."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key that jobs encrypt with."
  type        = string
}
