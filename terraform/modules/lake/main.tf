data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  partition = data.aws_partition.current.partition

  # Bucket names are the world's: the account and the region make them ours.
  bucket_names = { for role, suffix in var.buckets : role => "${var.name}-${suffix}-${local.account}-${local.region}" }
  # ARNs in policies are written from names, so that a plan shows every policy in full before anything exists.
  bucket_arns = { for role, name in local.bucket_names : role => "arn:${local.partition}:s3:::${name}" }
  # Landing must outlive mistakes: its objects can be added and read, by no one deleted.
  landing_arn = "${local.bucket_arns.lake}/landing/*"
}

# One key for everything this platform keeps. A key policy speaks of its own key only: there "*" is that key.
resource "aws_kms_key" "this" {
  description             = "${var.name}: data, secrets and logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode(local.key_policy)
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

# Terraform destroys in reverse: the buckets go first, and where they still hold data they refuse. What that data cannot
# be read without, its key and its catalogue, is then still there.
resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_144:The lake is versioned and landing cannot be deleted; a second region is a decision of its own
  # checkov:skip=CKV2_AWS_62:Airflow knows what a stage wrote; nothing waits for single objects
  # checkov:skip=CKV2_AWS_61:Each bucket has its lifecycle below; the check does not follow for_each
  # checkov:skip=CKV_AWS_18:Access to the lake and the artifacts is logged; the bucket of logs cannot log into itself
  for_each = local.bucket_names

  bucket        = each.value
  force_destroy = !var.protect

  depends_on = [aws_kms_key.this, aws_glue_catalog_database.this]
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    # One data key serves many objects: a day of small Iceberg files would otherwise be a KMS request each.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      # S3 delivers access logs to a bucket with its own keys only.
      sse_algorithm     = each.key == "logs" ? "AES256" : "aws:kms"
      kms_master_key_id = each.key == "logs" ? null : aws_kms_key.this.arn
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each = { for role, bucket in aws_s3_bucket.this : role => bucket if role != "logs" }

  bucket        = each.value.id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "s3/${each.key}/"
}

# Iceberg alone decides which table files live: no rule expires a current version, but for what no table needs.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "remains"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    # What was overwritten or deleted can be brought back until then.
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
  }

  dynamic "rule" {
    for_each = each.key == "lake" ? ["landing/"] : []

    content {
      id     = "landing-is-read-once"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      transition {
        days          = 90
        storage_class = "GLACIER_IR"
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "lake" ? ["runs/"] : each.key == "logs" ? ["s3/"] : []

    content {
      id     = "logs-grow-old"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = var.log_days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = jsonencode(local.bucket_policies[each.key])

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_glue_catalog_database" "this" {
  name         = var.database
  description  = "Silver: Iceberg tables, made by the first transform"
  location_uri = "s3://${local.bucket_names.lake}/${local.database_prefix}"
}

# `terraform destroy` stops here, before it has touched anything, and names what it would have destroyed. How to leave
# with the data kept is in docs/aws.md.
resource "terraform_data" "protected" {
  count = var.protect ? 1 : 0

  input = values(local.bucket_names)

  lifecycle {
    prevent_destroy = true
  }
}

##### Who may do what: the key, the buckets, and each stage's part of the lake

locals {
  key_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        # Hands the decision to the IAM policies of this account, and lets its administrators look after the key.
        Sid       = "AccountDecidesByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Resource  = "*"
        Action = [
          "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:DeleteAlias", "kms:DescribeKey",
          "kms:DisableKey", "kms:EnableKey", "kms:EnableKeyRotation", "kms:Encrypt", "kms:GenerateDataKey",
          "kms:GenerateDataKeyWithoutPlaintext", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants",
          "kms:ListKeyPolicies", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReEncryptFrom", "kms:ReEncryptTo",
          "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
          "kms:UpdateKeyDescription",
        ]
      },
      {
        Sid       = "CloudWatchLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.${data.aws_partition.current.dns_suffix}" }
        Resource  = "*"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*" }
        }
      },
      {
        # To publish to the encrypted topic. No condition: EventBridge fills none in.
        Sid       = "AlertsToTopic"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com"] }
        Resource  = "*"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      },
    ]
  }

  bucket_policies = {
    for role, arn in local.bucket_arns : role => {
      Version = "2012-10-17"
      Statement = concat(
        [{
          Sid       = "TlsOnly"
          Effect    = "Deny"
          Principal = "*"
          Action    = ["s3:*"]
          Resource  = [arn, "${arn}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        }],
        role == "lake" ? [{
          Sid       = "NobodyDeletesLanding"
          Effect    = "Deny"
          Principal = "*"
          Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
          Resource  = [local.landing_arn]
        }] : [],
        role == "logs" ? [{
          Sid       = "S3DeliversAccessLogs"
          Effect    = "Allow"
          Principal = { Service = "logging.s3.amazonaws.com" }
          Action    = ["s3:PutObject"]
          Resource  = ["${arn}/s3/*"]
          Condition = {
            ArnLike      = { "aws:SourceArn" = [for source, source_arn in local.bucket_arns : source_arn if source != "logs"] }
            StringEquals = { "aws:SourceAccount" = local.account }
          }
        }] : [],
      )
    }
  }

  database_prefix = "transform/${var.database}.db"
  tables          = toset(["songs", "users", "sessions", "quarantine", "quality_results"])
  table_prefixes  = { for table in local.tables : table => "${local.database_prefix}/${table}" }
  records         = ["quarantine", "quality_results"]
  # The first run creates every table, which writes metadata and nothing else to the other entities' folders.
  table_folders = {
    for entity in var.entities : entity => concat(
      [for table in concat([entity], local.records) : local.table_prefixes[table]],
      [for other in var.entities : "${local.table_prefixes[other]}/metadata" if other != entity],
    )
  }

  # Who has the warehouse tells it how runs ended and what is in quarantine.
  told = { reads = ["runs", local.table_prefixes.quarantine], looks = ["quarantine"] }

  # One line a right: what a stage of an entity reads, adds, deletes (prefixes of the lake), and which tables it looks up
  # and commits to. Deleting is for Iceberg's old metadata and unfinished writes, and only where a stage commits.
  # check looks at what main holds and writes nothing but how it ended.
  checks = {
    for pipeline, entities in { songs = ["songs"], api = ["users", "sessions"] } : pipeline => {
      reads                           = concat(local.told.reads, flatten([for entity in entities : ["landing/${entity}", "batches/${entity}", "published/${entity}", "${local.table_prefixes[entity]}/metadata"]]))
      adds                            = ["runs"]
      deletes                         = []
      looks                           = concat(entities, local.told.looks)
      commits                         = []
    }
  }

  access = merge(
    {
      for entity in var.entities : "extract_${entity}" => {
        reads   = entity == "songs" ? ["landing/songs", "batches/songs", local.table_prefixes.songs] : ["landing/${entity}"]
        adds    = ["landing/${entity}", "runs"]
        deletes = []
        looks   = entity == "songs" ? ["songs"] : []
        commits = []
      }
    },
    {
      # publish may find main moved on; then it writes and judges the batch again.
      for pair in setproduct(["transform", "publish"], var.entities) : "${pair[0]}_${pair[1]}" => {
        reads   = concat(["landing/${pair[1]}", "batches/${pair[1]}", "published/${pair[1]}"], local.table_folders[pair[1]])
        adds    = concat(["batches/${pair[1]}", "published/${pair[1]}", "runs"], local.table_folders[pair[1]])
        deletes = [for table in concat([pair[1]], local.records) : local.table_prefixes[table]]
        looks   = local.tables
        commits = local.tables
      }
    },
    {
      for entity in var.entities : "quality_${entity}" => {
        reads   = ["landing/${entity}", "batches/${entity}", "published/${entity}", local.table_prefixes[entity], local.table_prefixes.quarantine, local.table_prefixes.quality_results]
        adds    = ["published/${entity}", "runs", local.table_prefixes.quarantine, local.table_prefixes.quality_results]
        deletes = [for table in local.records : local.table_prefixes[table]]
        looks   = concat([entity], local.records)
        commits = local.records
      }
    },
    {
      for entity in var.entities : "load_${entity}" => {
        reads   = concat(local.told.reads, ["landing/${entity}", "batches/${entity}", "published/${entity}", local.table_prefixes[entity]])
        adds    = ["runs"]
        deletes = []
        looks   = concat([entity], local.told.looks)
        commits = []
      }
    },
    {
      check_songs = local.checks.songs
      check_api   = local.checks.api
      model       = { reads = concat(local.told.reads, ["landing/sessions"]), adds = ["runs"], deletes = [], looks = local.told.looks, commits = [] }
      warehouse   = { reads = [for entity in var.entities : local.table_prefixes[entity]], adds = [], deletes = [], looks = var.entities, commits = [] }
      monitor     = { reads = [for entity in var.entities : local.table_prefixes[entity]], adds = [], deletes = [], looks = var.entities, commits = [] }
    },
  )

  glue_arn = "arn:${local.partition}:glue:${local.region}:${local.account}"

  statements = {
    for who, may in local.access : who => [
      { Sid = "ReadLake", Action = ["s3:GetObject"], Resource = [for prefix in may.reads : "${local.bucket_arns.lake}/${prefix}/*"] },
      { Sid = "AddToLake", Action = ["s3:PutObject", "s3:AbortMultipartUpload"], Resource = [for prefix in may.adds : "${local.bucket_arns.lake}/${prefix}/*"] },
      { Sid = "DeleteOldTableFiles", Action = ["s3:DeleteObject"], Resource = [for prefix in may.deletes : "${local.bucket_arns.lake}/${prefix}/*"] },
      # Not narrowed to prefixes: S3 says "no such key" instead of "denied" only to who may list the bucket, and a read
      # carries no prefix that a condition could look at. What it shows are names, and no name here is personal.
      { Sid = "ListLake", Action = ["s3:ListBucket", "s3:GetBucketLocation"], Resource = [local.bucket_arns.lake] },
      {
        Sid      = "LookUpTables"
        Action   = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions"]
        Resource = length(may.looks) == 0 ? [] : concat(["${local.glue_arn}:catalog", "${local.glue_arn}:database/${var.database}"], [for table in may.looks : "${local.glue_arn}:table/${var.database}/${table}"])
      },
      {
        Sid      = "CommitToTables"
        Action   = ["glue:CreateTable", "glue:UpdateTable"]
        Resource = length(may.commits) == 0 ? [] : concat(["${local.glue_arn}:catalog", "${local.glue_arn}:database/${var.database}"], [for table in may.commits : "${local.glue_arn}:table/${var.database}/${table}"])
      },
      {
        Sid       = "UseKey"
        Action    = concat(["kms:Decrypt"], length(may.adds) > 0 ? ["kms:GenerateDataKey"] : [])
        Resource  = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/*"]
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${var.name}" } }
      },
    ]
  }

  policies = {
    for who, statements in local.statements : who => jsonencode({
      Version   = "2012-10-17"
      Statement = [for statement in statements : merge({ Effect = "Allow" }, statement) if length(statement.Resource) > 0]
    })
  }
}
