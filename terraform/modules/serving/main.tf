data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition

  workgroup  = var.name
  secret_arn = "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${var.dsn_secret.name}"
  role_arn   = "arn:${local.partition}:iam::${local.account}:role/${aws_iam_role.warehouse.name}"
  users      = { for who, role in merge(var.login_roles, { dashboards = var.bi_role }) : who => "IAMR:${role}" }
}

resource "aws_redshiftserverless_namespace" "this" {
  namespace_name                   = var.name
  db_name                          = var.database
  manage_admin_password            = true # made, kept and rotated by AWS; nobody here ever sees it
  admin_password_secret_kms_key_id = var.kms_key_arn
  kms_key_id                       = var.kms_key_arn
  iam_roles                        = [local.role_arn]
  default_iam_role_arn             = local.role_arn
  log_exports                      = ["connectionlog", "userlog", "useractivitylog"]
}

resource "aws_redshiftserverless_workgroup" "this" {
  workgroup_name       = local.workgroup
  namespace_name       = aws_redshiftserverless_namespace.this.namespace_name
  base_capacity        = var.capacity.base
  max_capacity         = var.capacity.max
  subnet_ids           = var.subnet_ids
  security_group_ids   = [aws_security_group.this.id]
  publicly_accessible  = false
  enhanced_vpc_routing = true

  config_parameter {
    parameter_key   = "require_ssl"
    parameter_value = "true"
  }
}

resource "aws_redshiftserverless_usage_limit" "this" {
  resource_arn  = aws_redshiftserverless_workgroup.this.arn
  usage_type    = "serverless-compute"
  period        = "monthly"
  amount        = var.capacity.hours_a_month
  breach_action = "emit-metric" # told, not cut off: a day without gold is worse than a dear one
}

resource "aws_security_group" "this" {
  name        = "${var.name}-warehouse"
  description = "The warehouse"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-warehouse" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "Redshift from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5439
  to_port                      = 5439
}

# Enhanced routing sends reads of silver through the VPC: to S3 and Glue, by HTTPS.
resource "aws_vpc_security_group_egress_rule" "this" {
  security_group_id = aws_security_group.this.id
  description       = "Silver in S3, its catalogue in Glue"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

##### Silver, where it lies

resource "aws_iam_role" "warehouse" {
  name        = "${var.name}-warehouse"
  description = "Reads silver for Redshift"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole"]
      Principal = { Service = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"] }
      # Redshift names the user it acts for, and no source account.
      Condition = { StringLike = { "sts:ExternalId" = "arn:${local.partition}:redshift:${local.region}:${local.account}:dbuser:*" } }
    }]
  })
}

resource "aws_iam_role_policy" "lake" {
  name   = "lake"
  role   = aws_iam_role.warehouse.name
  policy = var.lake_policy
}

##### The address: without a password there is nothing secret in it, but the stages look in one place only

resource "aws_secretsmanager_secret" "dsn" {
  # checkov:skip=CKV2_AWS_57:It holds an address; the stages log in as their IAM role, and no password is there to rotate
  name                    = var.dsn_secret.name
  description             = "Where the warehouse is"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_version" "dsn" {
  secret_id                = aws_secretsmanager_secret.dsn.id
  secret_string_wo         = "redshift://${aws_redshiftserverless_workgroup.this.endpoint[0].address}:5439/${var.database}?iam=true"
  secret_string_wo_version = 1
}

##### Schemas, users and grants: each statement runs once, in this order

locals {
  # What Terraform runs as the warehouse's administrator; a statement that changes is run again, the others are not.
  schemas = {
    (var.schemas.transform) = "create external schema if not exists ${var.schemas.transform} from data catalog database '${var.glue_database}' region '${local.region}' iam_role '${local.role_arn}'"
    (var.schemas.serving)   = "create schema if not exists ${var.schemas.serving}"
    (var.schemas.bi_views)  = "create schema if not exists ${var.schemas.bi_views}"
    (var.schemas.control)   = "create schema if not exists ${var.schemas.control}"
  }

  roles = {
    deftunes_bi      = "create role deftunes_bi"
    deftunes_checker = "create role deftunes_checker"
    deftunes_loader  = "create role deftunes_loader"
    deftunes_modeler = "create role deftunes_modeler"
    deftunes_reader  = "create role deftunes_reader"
  }

  database_role = { for task in keys(local.users) : task => { check = "deftunes_checker", dashboards = "deftunes_bi", load = "deftunes_loader", model = "deftunes_modeler" }[split("_", task)[0]] }

  grants = merge(
    {
      loader-silver     = "grant usage on schema ${var.schemas.transform} to role deftunes_loader"
      loader-gold       = "grant usage on schema ${var.schemas.serving} to role deftunes_loader"
      loader-gold-rows  = "grant select for tables in schema ${var.schemas.serving} to role deftunes_loader"
      checker-books     = "grant select, insert, update, delete for tables in schema ${var.schemas.control} to role deftunes_checker"
      modeler-silver    = "grant usage on schema ${var.schemas.transform} to role deftunes_modeler"
      modeler-gold      = "grant create, usage on schema ${var.schemas.serving} to role deftunes_modeler"
      modeler-views     = "grant create, usage on schema ${var.schemas.bi_views} to role deftunes_modeler"
      reader-gold       = "grant usage on schema ${var.schemas.serving} to role deftunes_reader"
      reader-gold-rows  = "grant select for tables in schema ${var.schemas.serving} to role deftunes_reader"
      reader-views      = "grant usage on schema ${var.schemas.bi_views} to role deftunes_reader"
      reader-views-rows = "grant select for tables in schema ${var.schemas.bi_views} to role deftunes_reader"
      # Whoever sees a dashboard asks as this role: no table of gold, where people have names.
      bi-views      = "grant usage on schema ${var.schemas.bi_views} to role deftunes_bi"
      bi-views-rows = "grant select for tables in schema ${var.schemas.bi_views} to role deftunes_bi"
    },
    merge([
      for schema, name in var.schemas : merge(
        { "checker-${schema}" = "grant usage on schema ${name} to role deftunes_checker" },
        schema == "transform" ? {} : { "checker-${schema}-rows" = "grant select for tables in schema ${name} to role deftunes_checker" },
      )
    ]...),
    merge([
      for role in ["loader", "modeler"] : {
        # Both keep books, and whoever comes first makes the tables: rights on what the other one owns.
        "${role}-books"      = "grant create, usage on schema ${var.schemas.control} to role deftunes_${role}"
        "${role}-books-rows" = "grant select, insert, update, delete for tables in schema ${var.schemas.control} to role deftunes_${role}"
        # `create schema if not exists` wants this although the schema is there; so does dbt.
        "${role}-database" = "grant create on database ${var.database} to role deftunes_${role}"
      }
    ]...),
  )
}

resource "aws_redshiftdata_statement" "schema" {
  for_each = local.schemas

  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "schema-${each.key}"
  sql            = each.value

  depends_on = [aws_iam_role_policy.lake]
}

resource "aws_redshiftdata_statement" "role" {
  for_each = local.roles

  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "role-${each.key}"
  sql            = each.value
}

# A user by that name is who a task with that IAM role is here. He has no password to lose.
resource "aws_redshiftdata_statement" "user" {
  for_each = local.users

  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "user-${each.key}"
  sql            = "create user \"${each.value}\" password disable"
}

resource "aws_redshiftdata_statement" "grant" {
  for_each = local.grants

  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "grant-${each.key}"
  sql            = each.value

  depends_on = [aws_redshiftdata_statement.schema, aws_redshiftdata_statement.role]
}

resource "aws_redshiftdata_statement" "member" {
  for_each = local.users

  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "member-${each.key}"
  sql            = "grant role ${local.database_role[each.key]} to \"${each.value}\""

  depends_on = [aws_redshiftdata_statement.user, aws_redshiftdata_statement.grant]
}

# A chart that takes longer shows nothing, and must not hold the warehouse.
resource "aws_redshiftdata_statement" "limit" {
  workgroup_name = aws_redshiftserverless_workgroup.this.workgroup_name
  database       = var.database
  secret_arn     = aws_redshiftserverless_namespace.this.admin_password_secret_arn
  statement_name = "limit-dashboards"
  sql            = "alter user \"${local.users.dashboards}\" set statement_timeout to 30000"

  depends_on = [aws_redshiftdata_statement.user]
}
