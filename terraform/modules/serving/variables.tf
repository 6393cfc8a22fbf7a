variable "name" {
  description = "Name of the namespace and the workgroup, prefix of the rest."
  type        = string
}

variable "database" {
  description = "Database of the warehouse."
  type        = string
  default     = "deftunes"
}

variable "glue_database" {
  description = "Glue database of silver."
  type        = string
}

variable "schemas" {
  description = "Schemas of the warehouse."
  type        = object({ transform = string, serving = string, bi_views = string, control = string })
}

variable "login_roles" {
  description = "IAM roles that log in to the warehouse, by task id (load_*, model, check_*)."
  type        = map(string)

  validation {
    condition     = contains(keys(var.login_roles), "model") && alltrue([for task in keys(var.login_roles) : contains(["load", "model", "check"], split("_", task)[0])])
    error_message = "Expected the roles of load_*, model and check_*, and of no other stage: extract, transform, quality and publish have no business in gold."
  }
}

variable "bi_role" {
  description = "IAM role that reads the BI views and nothing else: the dashboards'. Its user is made in any case: a statement that is run twice fails, and without the role nobody is that user."
  type        = string
}

variable "lake_policy" {
  description = "IAM policy to read silver."
  type        = string
}

variable "dsn_secret" {
  description = "Secret that tells the stages where the warehouse is."
  type        = object({ name = string })
}

variable "secret_recovery_days" {
  description = "Days that a deleted secret can be brought back; 0 deletes at once."
  type        = number

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "Expected 0, or 7 to 30 days."
  }
}

variable "kms_key_arn" {
  description = "Key of the warehouse."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the warehouse."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in three zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 3
    error_message = "Expected three subnets: Redshift Serverless wants three zones."
  }
}

variable "client_security_group_ids" {
  description = "Who may connect, by a name that says who: the tasks, a BI tool."
  type        = map(string)
}

variable "capacity" {
  description = "Redshift processing units: base and the most it may grow to, and the RPU hours a month above which a metric tells."
  type        = object({ base = number, max = number, hours_a_month = number })

  validation {
    condition     = var.capacity.base >= 4 && var.capacity.base <= 512 && (var.capacity.base == 4 || var.capacity.base % 8 == 0) && var.capacity.max >= var.capacity.base && var.capacity.hours_a_month > 0
    error_message = "Expected a base of 4, or 8 to 512 in steps of 8, a maximum no smaller, and some hours."
  }
}
