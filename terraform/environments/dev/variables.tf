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
  description = "Whether to make a PostgreSQL with a made-up catalogue; without it the DSN of yours goes into the secret deftunes/songs-dsn."
  type        = bool
  default     = true
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
