variable "name" {
  description = "Prefix of every name in this module."
  type        = string
}

variable "existing" {
  description = "A VPC that is there already: its id and three private subnets, each in a zone of its own and with a way out (NAT, or endpoints for S3, Glue, ECR, Secrets Manager, Logs, STS and Redshift). Null makes one."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
  })
  default = null

  validation {
    condition     = var.existing == null ? true : length(distinct(var.existing.private_subnet_ids)) >= 3
    error_message = "Expected three or more private subnets: Redshift Serverless wants three zones."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, a /16."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "Expected a /16 such as 10.20.0.0/16: the subnets are cut for that size."
  }
}

variable "zones" {
  description = "Letters of the availability zones. Redshift Serverless wants three."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(distinct(var.zones)) >= 3 && length(var.zones) <= 6 && alltrue([for zone in var.zones : can(regex("^[a-z]$", zone))])
    error_message = "Expected three to six different letters, such as [\"a\", \"b\", \"c\"]."
  }
}

variable "nat_per_zone" {
  description = "One NAT gateway per zone (a zone may fail) rather than one for all (cheaper)."
  type        = bool
}

variable "interface_endpoints" {
  description = "AWS services that private subnets reach without NAT, beside S3."
  type        = set(string)
  default     = ["ecr.api", "ecr.dkr", "glue", "logs", "secretsmanager"]

  validation {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "glue", "logs", "secretsmanager"], var.interface_endpoints)) == 0
    error_message = "Expected at least ecr.api, ecr.dkr, glue, logs and secretsmanager: every stage talks to them."
  }
}

variable "task_egress_ports" {
  description = "TCP ports that tasks may connect to: HTTPS, PostgreSQL, Redshift, and the Purchase API's if it is another one."
  type        = set(number)
  default     = [443, 5432, 5439]

  validation {
    condition     = alltrue([for port in var.task_egress_ports : port > 0 && port < 65536])
    error_message = "Expected ports from 1 to 65535."
  }
}

variable "kms_key_arn" {
  description = "Key of the flow log."
  type        = string
}

variable "flow_log_retention_days" {
  description = "Days that refused packets are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.flow_log_retention_days)
    error_message = "Expected one of CloudWatch's retention periods: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365."
  }
}
