output "ruleset_names" {
  description = "Registered rulesets by entity."
  value       = { for entity, ruleset in aws_glue_data_quality_ruleset.this : entity => ruleset.name }
}

output "role_name" {
  description = "Role of an evaluation."
  value       = aws_iam_role.this.name
}
