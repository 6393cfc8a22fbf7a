variable "images" {
  description = "Repository of each image."
  type        = map(object({ repository = string }))

  validation {
    condition     = length(var.images) > 0 && alltrue([for image in var.images : can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", image.repository))])
    error_message = "Expected repository names of lower-case letters and digits, parted by one of . _ - /."
  }
}

variable "kms_key_arn" {
  description = "Key that images are encrypted with."
  type        = string
}

variable "keep_releases" {
  description = "Releases kept per image; going back further means building again."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_releases >= 5
    error_message = "Expected 5 or more: yesterday's release must be there when today's fails."
  }
}

variable "force_delete" {
  description = "Let `terraform destroy` delete repositories that hold images."
  type        = bool
}
