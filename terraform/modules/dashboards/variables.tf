variable "name" {
  description = "The platform's name; the value of the tag Project, and the beginning of every name in this module."
  type        = string
}

variable "shape" {
  description = "What platform.json says of the dashboards: the service, its role, its container and log, two tasks (assets, once; server) and what their secrets are called."
  type = object({
    role       = string
    service    = string
    container  = string
    port       = number
    log_group  = string
    secret_key = object({ name = string, variable = string })
    warehouse  = object({ variable = string })
    tasks = map(object({
      family  = string
      command = optional(list(string))
      cpu     = number
      memory  = number
    }))
  })

  validation {
    condition     = toset(keys(var.shape.tasks)) == toset(["assets", "server"])
    error_message = "Expected the tasks assets and server."
  }

  validation {
    condition     = alltrue([for task in var.shape.tasks : contains(lookup({ "512" = [1024, 2048, 3072, 4096], "1024" = [2048, 3072, 4096, 5120, 6144, 7168, 8192] }, tostring(task.cpu), []), task.memory)])
    error_message = "Expected pairs of cpu and memory that Fargate has, from 512 and 1024 on: an import takes 350 MiB."
  }
}

variable "repository" {
  description = "Repository of the image superset."
  type        = string
}

variable "release" {
  description = "Release tag of the image."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+([+.-][0-9A-Za-z.-]+)?$", var.release))
    error_message = "Expected a release such as 1.4.0; a tag that moves (latest, main) says nothing about what runs."
  }
}

variable "cluster" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "work_folder" {
  description = "The one folder of a container that can be written."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of the load balancer, in AWS Certificate Manager of this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "Expected the ARN of a certificate in AWS Certificate Manager: without TLS nobody is let in."
  }
}

variable "client_cidrs" {
  description = "Private addresses that readers come from: the VPN's, the office's behind a peering."
  type        = set(string)

  validation {
    condition = length(var.client_cidrs) > 0 && alltrue([
      for cidr in var.client_cidrs : can(cidrhost(cidr, 0)) && can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)[0-9.]+/(8|9|[12][0-9]|3[0-2])$", cidr))
    ])
    error_message = "Expected private addresses such as 10.30.0.0/16: whoever comes from there reads without a login."
  }
}

variable "vpc_id" {
  description = "VPC of the dashboards."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones or more."
  type        = list(string)

  validation {
    condition     = length(distinct(var.subnet_ids)) >= 2
    error_message = "Expected two subnets or more: a load balancer wants two zones."
  }
}

variable "warehouse_secret" {
  description = "Secret with the warehouse's address: where ECS finds it, and its ARN for the policy."
  type        = object({ value_from = string, arn = string })
}

variable "warehouse_security_group_id" {
  description = "Security group of the warehouse."
  type        = string
}

variable "metadata" {
  description = "Size of the database that holds Superset's own state."
  type        = object({ instance_class = string, storage_gib = number })
  default     = { instance_class = "db.t4g.micro", storage_gib = 20 }

  validation {
    condition     = startswith(var.metadata.instance_class, "db.") && var.metadata.storage_gib >= 20
    error_message = "Expected an RDS instance class such as db.t4g.micro, and 20 GiB or more, as gp3 has."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "Expected one of CloudWatch's retention periods of 30 days or more: 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "topic_arn" {
  description = "Where alarms are published."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the database, the secrets and the log."
  type        = string
}

variable "kms_alias" {
  description = "Alias of that key, for policies."
  type        = string
}
