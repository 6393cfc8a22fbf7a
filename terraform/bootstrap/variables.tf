variable "region" {
  description = "Region of the environment and of its state."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Expected a region such as eu-central-1."
  }
}

variable "environment" {
  description = "Which environment this account is for."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "Expected dev or prod."
  }
}
