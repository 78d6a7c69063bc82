//! Tables of tenants, their keys and users, and of what every tenant's requests leave behind.

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

diesel::table! {
    tenants (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        status -> Text,
        settings -> Jsonb,
        limits -> Jsonb,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        secret_hash -> Binary,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        parent_key_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, caller, operation, key) {
        tenant_id -> Uuid,
        caller -> Text,
        operation -> Text,
        key -> Text,
        fingerprint -> Binary,
        path -> Text,
        status -> Nullable<SmallInt>,
        location -> Nullable<Text>,
        etag -> Nullable<Text>,
        body -> Nullable<Text>,
        settles_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    secrets (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        hosts -> Array<Text>,
        sealing_key -> Text,
        nonce -> Binary,
        sealed -> Binary,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        owner_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    users (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        email -> Text,
        email_lower -> Text,
        display_name -> Text,
        role -> Nullable<Text>,
        external_id -> Nullable<Text>,
        metadata -> Jsonb,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    audit_events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        at -> Timestamptz,
        actor_kind -> Text,
        actor_id -> Text,
        action -> Text,
        resource_kind -> Text,
        resource_id -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
        changed -> Array<Text>,
        request_id -> Text,
        address -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tenants, api_keys);
