variable "name" {
  description = "Prefix of every name in this module."
  type        = string
}

variable "rulesets" {
  description = "Rulesets by entity: the name in Glue and the path of the DQDL file."
  type        = map(object({ name = string, file = string }))

  validation {
    condition     = length(var.rulesets) > 0 && alltrue([for ruleset in var.rulesets : endswith(ruleset.file, ".dqdl")])
    error_message = "Expected a .dqdl file for each ruleset."
  }
}

variable "thresholds" {
  description = "Values of the rulesets' placeholders. They must be those that the jobs are given."
  type        = object({ max_price = string })

  validation {
    condition     = can(regex("^[0-9]+(\\.[0-9]{1,2})?$", var.thresholds.max_price))
    error_message = "Expected max_price as an amount such as 2 or 2.50."
  }
}

variable "lake_policy" {
  description = "IAM policy to read silver."
  type        = string
}
