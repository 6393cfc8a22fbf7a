variable "name" {
  description = "The platform's name; the value of the tag Project."
  type        = string
}

variable "cluster" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "container" {
  description = "Name of the one container of each task: runs address it to add their interval."
  type        = string
}

variable "tasks" {
  description = "Stages that run as containers, by task id: image, the CLI's command without the interval, size, names of settings and secrets."
  type = map(object({
    family      = string
    image       = string
    command     = list(string)
    cpu         = number
    memory      = number
    log_group   = string
    environment = list(string)
    secrets     = list(string)
  }))

  validation {
    condition = alltrue([
      for task in var.tasks : contains({
        "256"  = [512, 1024, 2048]
        "512"  = [1024, 2048, 3072, 4096]
        "1024" = [2048, 3072, 4096, 5120, 6144, 7168, 8192]
        "2048" = [4096, 5120, 6144, 7168, 8192, 9216, 10240, 11264, 12288, 13312, 14336, 15360, 16384]
        "4096" = [8192, 12288, 16384, 20480, 24576, 30720]
      }[tostring(task.cpu)], task.memory)
    ])
    error_message = "Expected pairs of cpu and memory that Fargate has, such as 512 and 1024, or 2048 and 8192."
  }
}

variable "settings" {
  description = "Value of each setting that a task names. Nothing secret."
  type        = map(string)
}

variable "secrets" {
  description = "Secrets by id: the variable it becomes, where ECS finds it (`value_from`), and its ARN for the policy. An optional one without `value_from` is left out."
  type = map(object({
    variable   = string
    optional   = optional(bool, false)
    value_from = optional(string)
    arn        = optional(string)
  }))

  validation {
    condition     = alltrue([for secret in var.secrets : secret.optional || secret.value_from != null])
    error_message = "Expected value_from for every secret that is not optional."
  }
}

variable "images" {
  description = "Repository of each image."
  type        = map(object({ repository = string }))
}

variable "release" {
  description = "Release tag of the images."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+([+.-][0-9A-Za-z.-]+)?$", var.release))
    error_message = "Expected a release such as 1.4.0; a tag that moves (latest, main) says nothing about what runs."
  }
}

variable "log_groups" {
  description = "Names of the log groups by key."
  type        = map(string)
}

variable "lake_policies" {
  description = "IAM policies for the lake by task id."
  type        = map(string)
}

variable "kms_alias" {
  description = "Alias of the key that secrets are encrypted with."
  type        = string
}

variable "work_folder" {
  description = "The one folder of a container that can be written."
  type        = string
}

variable "disk_gib" {
  description = "Disk of a task, GiB: extracts are complete on disk before they are landed."
  type        = number
  default     = 40

  validation {
    condition     = var.disk_gib >= 21 && var.disk_gib <= 200
    error_message = "Expected 21 to 200 GiB, as Fargate has."
  }
}

variable "batch" {
  description = "AWS Batch for large backfills: where, how much at once, and for how long. Null makes none."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
    max_vcpus          = number
    timeout_hours      = number
  })
  default = null

  validation {
    condition     = var.batch == null ? true : var.batch.max_vcpus >= 2 && var.batch.timeout_hours >= 1
    error_message = "Expected at least 2 vCPU (publish asks for 2) and a timeout of an hour or more."
  }
}
