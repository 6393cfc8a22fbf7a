variable "name" {
  description = "Prefix of every name in this module."
  type        = string
}

variable "secrets" {
  description = "Names of the secrets and the variables they become."
  type = object({
    songs_dsn      = object({ name = string, variable = string })
    songs_password = object({ name = string, variable = string })
    api_token      = object({ name = string, variable = string })
  })
}

variable "api_has_token" {
  description = "Whether the Purchase API wants a token."
  type        = bool
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
  description = "Key of the secrets and the trial's database."
  type        = string
}

variable "kms_alias" {
  description = "Alias of that key, for policies."
  type        = string
}

variable "trial" {
  description = "A PostgreSQL with a made-up catalogue, for an account that has none, and the image and log of the task that fills it. Null where the catalogue is elsewhere."
  type = object({
    instance_class           = string
    vpc_id                   = string
    subnet_ids               = list(string)
    client_security_group_id = string
    container                = string
    image                    = string
    repository               = string
    log_group                = string
  })
  default = null

  validation {
    condition     = var.trial == null ? true : startswith(var.trial.instance_class, "db.")
    error_message = "Expected an RDS instance class such as db.t4g.micro."
  }
}
