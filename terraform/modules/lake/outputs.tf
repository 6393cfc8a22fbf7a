output "bucket_names" {
  description = "Names of the buckets by role: lake, artifacts, logs."
  value       = { for role, bucket in aws_s3_bucket.this : role => bucket.bucket }
}

output "uri" {
  description = "The lake as DEFTUNES_LAKE wants it."
  value       = "s3://${local.bucket_names.lake}"
}

output "artifacts_arn" {
  description = "ARN of the bucket that releases and DAGs are uploaded to."
  value       = local.bucket_arns.artifacts
}

output "kms_key_arn" {
  description = "The platform's key."
  value       = aws_kms_key.this.arn
}

output "kms_alias" {
  description = "Alias of that key, known before the key is: policies name it."
  value       = "alias/${var.name}"
}

output "database" {
  description = "Glue database of silver."
  value       = aws_glue_catalog_database.this.name
}

output "policies" {
  description = "IAM policies by who they are for: <stage>_<entity>, model, check_<pipeline>, warehouse (reads silver for Redshift), monitor (data quality)."
  value       = local.policies
}
